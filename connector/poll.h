// Outboxes by polling: batch after batch from the tables to the stream.
//
//   look ─▶ (new rows) ─▶ save {number, snapshot} ─▶ read ─▶ publish ─▶ all acked ─▶ look
//             │
//             └ (none) ─▶ save that it is complete ─▶ remove what is due ─▶ wait for NOTIFY or
//             timer
//
// A batch is saved before its first message, so what a message's id means never changes: after a
// crash the same batch is read again, and goes on behind the stream's last message. The next batch
// begins when all of this one is stored, which keeps the order of commits between batches.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/poll_resume.h"
#include "connector/poll_work.h"
#include "connector/polled_outbox.h"
#include "connector/slotless.h"
#include "connector/wakeup.h"
#include "outbox/poller.h"

namespace connector {

// Polling, as supervise_slotless() wants it.
SlotlessCapture poll_capture(const Config& config);

class Poll {
 public:
  Poll(const Config& config, SlotlessSession& session, Wakeup& wakeup);

  // `once`: until there is nothing new.
  SlotlessEnded run(bool once);

 private:
  using Clock = std::chrono::steady_clock;

  bool begin_batch();
  // False: stopped within.
  bool publish_batch(std::uint64_t number, const std::optional<PollPlace>& after);
  bool publish_table(std::size_t table, std::uint64_t number, std::optional<std::string> after_id);
  void keep_place(std::size_t table, std::uint64_t number);
  bool publish_row(const PolledOutbox& outbox, const pg::Row& row, std::uint64_t number);
  [[noreturn]] void refuse(const PolledOutbox& outbox, std::uint64_t number, const std::string& why,
                           const char* way_out);
  void complete(std::uint64_t number);
  void save();
  void archive();
  void remove_due();
  void idle();
  const PolledOutbox* find(const PollTable& table) const;
  bool leaving() const { return wakeup_.stop_requested() || wakeup_.reload_requested(); }
  void report();

  const Config& config_;
  SlotlessSession& session_;
  Wakeup& wakeup_;
  std::vector<PolledOutbox> outboxes_;
  std::vector<outbox::PolledTable> tables_;
  outbox::Poller poller_;
  PollWork work_;
  std::vector<std::uint64_t> again_;  // batches to be read first, in order
  std::optional<PollPlace> after_;    // in the first of them,
  std::optional<PollDigest> known_;   // and of its rows up to there
  Outlet outlet_;
  std::uint64_t row_ = 0;  // the last one's number in its batch
  std::string last_id_;    // that row's, in its table
  // Of the batch's rows so far; nothing where this session does not know all of them.
  std::optional<PollDigest> digest_;
  Clock::time_point next_place_;
  OutboxEvent event_;
  std::vector<publisher::Header> headers_;
  std::string id_;
  std::string batch_header_;
  bool unsaved_ = false;
  Clock::time_point next_removal_;
  Clock::time_point next_refusal_;
  Clock::time_point next_report_;
  std::uint64_t reported_ = 0;
};

}  // namespace connector
