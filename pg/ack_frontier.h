// What Postgres may forget.
//
// Postgres keeps WAL until we say that it may go, and it believes us. Two clocks run here: what we
// have received (ours to know) and what JetStream has stored (SafeLsn, all that we may say).
//
//   received ──▶ sent ──▶ acked in order ──▶ stored() ──(replay_window later)──▶ SafeLsn
//
// AckFrontier: every change at or before stored() is in JetStream. A transaction moves it only when
// it has committed and all its messages are acked. When nothing is open or in flight a keepalive's
// position counts too: the server has sent everything before it. Without that rule an idle table on
// a busy server fills the server's disk.
//
// ReplayWindow: JetStream acknowledges before it syncs, so a power failure can take acknowledged
// messages away; what can be read again mends that. It mints a SafeLsn only of what the frontier
// had reached one window ago, and is the only one that can mint one.
//
// One thread; no I/O; time is a parameter.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "pg/types.h"

namespace pg {

class AckFrontier {
 public:
  void begin();                      // a transaction is open
  void sent(std::uint64_t number);   // messages are numbered 1, 2, 3… in the order sent
  void committed(Lsn end_lsn);       // the open one is over, and all its messages were sent
  void acked(std::uint64_t number);  // in any order; each number once
  void keepalive(Lsn wal_end);       // the server has sent everything before wal_end

  Lsn stored() const { return stored_; }  // invalid until something is known
  // The last message among those that hold what lies before stored(); 0: none that was sent here.
  std::uint64_t rests_on() const { return rests_on_; }
  bool idle() const { return !open_ && in_flight_.empty(); }
  bool transaction_open() const { return open_; }
  std::uint64_t in_flight() const { return in_flight_.size(); }

 private:
  struct InFlight {
    bool acked = false;
    Lsn end_lsn;  // valid: the stored position once this and all before are acked
  };
  void advance(Lsn to, std::uint64_t rests_on);

  std::deque<InFlight> in_flight_;
  std::uint64_t first_number_ = 1;  // of in_flight_.front()
  bool open_ = false;
  Lsn stored_;
  std::uint64_t rests_on_ = 0;
};

// A position that a status update accepts as flushed.
class SafeLsn {
 public:
  Lsn lsn() const { return lsn_; }
  std::uint64_t rests_on() const { return rests_on_; }  // the frontier's, when it was there

 private:
  friend class ReplayWindow;
  SafeLsn(Lsn lsn, std::uint64_t rests_on) : lsn_(lsn), rests_on_(rests_on) {}
  Lsn lsn_;
  std::uint64_t rests_on_;
};

class ReplayWindow {
 public:
  using Clock = std::chrono::steady_clock;

  // window 0: nothing is held back. At most max_bytes of WAL (0: no limit) are held behind what is
  // stored; beyond them the oldest is let go early. `floor` is what Postgres knows as confirmed.
  ReplayWindow(std::chrono::milliseconds window, std::uint64_t max_bytes, Lsn floor);

  void observe(const AckFrontier& frontier, Clock::time_point now);

  // The newest position that was stored a window ago; nothing while there is none yet.
  std::optional<SafeLsn> safe(Clock::time_point now);

  // True once when bytes rather than time let a position go, until time rules again.
  bool cut_short() const { return cut_short_; }

 private:
  struct Step {
    Clock::time_point last_seen;  // of the newest position in this step
    Clock::time_point opened;
    Lsn first;
    Lsn lsn;
    std::uint64_t rests_on = 0;  // of lsn
  };
  // Positions are kept in steps of a 256th of the window (in time and in bytes), each under its
  // latest time: memory is constant, and a position is held at most one step too long, never less.
  static constexpr int steps_per_window = 256;

  std::chrono::milliseconds window_;
  std::uint64_t max_bytes_;
  Lsn floor_;
  std::deque<Step> steps_;
  Lsn newest_;
  std::optional<SafeLsn> safe_;
  bool cut_short_ = false;
};

}  // namespace pg
