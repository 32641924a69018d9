// Where a snapshot-diff goes on: what is saved, what is in the folder, and what the stream has.
//
//   saved position ─┐
//   round files     ├─▶ begin() ─▶ catch_up(): what the stream lacks of the rounds ─▶ new rounds
//   the stream     ─┘
//
// Any of the three may be older than the others, or gone. What is known of a table's rows holds
// only as long as all three fit; where they do not, the table begins again, which mends everything
// that a consumer has folded. What the stream was told under settings that are no longer those of
// now is not told on: the tables concerned begin again, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/diff_publish.h"
#include "connector/diff_store.h"
#include "connector/diff_work.h"
#include "connector/slotless.h"
#include "connector/table_selection.h"

namespace connector {

class DiffPosition {
 public:
  DiffPosition(const Config& config, SlotlessSession& session, const Wakeup& wakeup);

  // Throws Stop(position_lost) where only the operator may say that it goes on.
  void begin();
  // Publishes what the stream has not got of the rounds that are kept. False when a stop was
  // requested.
  bool catch_up();

  // What the next round compares with; nothing: there was none. `captured`: by "schema"."table",
  // `names`: those that are not forgotten.
  std::optional<DiffManifest> before(const std::set<std::string>& captured,
                                     const std::set<std::string>& names);
  // No round may be at or before it.
  pg::Lsn newest() const;
  // Publishes a round that is in its file. False when a stop was requested.
  bool publish(DiffManifest made);

  void save();
  // Forgets rounds whose acks are older than replay_window, and removes what is of no use.
  void tidy();

  DiffWork& work() { return work_; }
  const DiffStore& store() const { return store_; }
  Outlet& outlet() { return publisher_.outlet(); }

 private:
  using Rounds = std::vector<DiffWork::Round>;
  void begin_first();
  void find_newest();
  void adopt(std::vector<DiffManifest> behind);
  void look_for_unknown();
  std::optional<pg::Lsn> newest_in_stream();
  void rise_above_the_stream();
  std::vector<DiffManifest> rounds_behind(pg::Lsn newest);
  void lose(const std::string& what);
  void require_permission(const DiffWork::Round& first, publisher::StreamSequence last);
  bool catch_up_from(Rounds::iterator first, std::uint64_t stored);
  bool publish(DiffWork::Round& round, const DiffManifest& manifest, std::uint64_t& stored);
  bool was_made_otherwise(const DiffManifest& manifest, const std::string& table) const;
  bool must_withhold(const DiffManifest& manifest, std::uint64_t stored);
  void withhold(Rounds::iterator first, std::uint64_t stored);
  bool may_forget(std::size_t round) const;
  bool forget();  // by age; whether there was any
  void bound();   // what is saved
  bool is_too_large();

  const Config& config_;
  SlotlessSession& session_;
  const DiffStore store_;
  const TableSelection selection_;
  DiffPublisher publisher_;
  DiffWork work_;
  std::optional<DiffManifest> manifest_;  // of the newest complete round
  bool untidy_ = true;                    // there may be files of no use
  bool said_bound_ = false;
};

}  // namespace connector
