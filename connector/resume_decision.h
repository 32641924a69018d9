// How decide() goes about it, step by step: each looks at one way in which the sides can disagree.
// Those about the stream are in resume_stream.cc, the others in resume.cc.
#pragma once

#include <fmt/format.h>

#include <string>

#include "connector/resume.h"

namespace connector {

inline constexpr const char* accept_hint =
    "`run --accept-gap` goes on from where both sides can, and says what was lost";

class Decision {
 public:
  explicit Decision(const Observed& observed) : seen_(observed) {}
  Resume make();

 private:
  void gap(const std::string& what, const std::string& hint = accept_hint);
  std::string slot_named() const { return fmt::format("slot \"{}\"", seen_.slot_name); }
  std::string stream_named() const { return fmt::format("stream {}", seen_.stream_name); }
  pg::Lsn confirmed() const { return seen_.slot->confirmed.value_or(pg::Lsn()); }
  bool slot_usable() const { return seen_.slot->wal_status != "lost" && seen_.slot->confirmed; }
  const StoredRecord* tail() const;
  void begin();
  void begin_new_slot();
  void check_wal_reaches_the_tail();
  static pg::Lsn ends_at_least_at(const MessagePosition& position);
  void clamp();
  void check_system();
  MessagePosition tail_position() const;
  void start_over_at(pg::Lsn lsn);
  void forget_what_it_rests_on();
  void check_slot();
  void check_stream();
  bool has_what_wal_lacks(const SavedPosition& saved) const;
  bool reaches_what_it_rests_on(const SavedPosition& saved) const;
  // By --from-lsn, beyond where the slot is: what WAL has in between is not for the stream.
  bool begun_ahead(const SavedPosition& saved) const { return saved.origin > confirmed(); }
  static MessagePosition before_origin(const SavedPosition& saved);
  void go_back(const SavedPosition& saved);
  void stream_made_anew();
  void check_settings();
  void know_the_tail();
  void check_foreign();

  const Observed& seen_;
  Resume plan_;
  bool accepted_ = false;
};

}  // namespace connector
