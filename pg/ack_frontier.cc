#include "pg/ack_frontier.h"

#include <algorithm>
#include <cassert>

namespace pg {

void AckFrontier::begin() {
  assert(!open_);
  open_ = true;
}

void AckFrontier::sent(std::uint64_t number) {
  assert(number == first_number_ + in_flight_.size());
  in_flight_.emplace_back();
}

void AckFrontier::committed(Lsn end_lsn) {
  assert(open_);
  open_ = false;
  if (in_flight_.empty()) {
    advance(end_lsn, first_number_ - 1);
  } else {
    in_flight_.back().end_lsn = std::max(in_flight_.back().end_lsn, end_lsn);
  }
}

void AckFrontier::acked(std::uint64_t number) {
  assert(number >= first_number_ && number < first_number_ + in_flight_.size());
  in_flight_[number - first_number_].acked = true;
  while (!in_flight_.empty() && in_flight_.front().acked) {
    advance(in_flight_.front().end_lsn, first_number_);
    in_flight_.pop_front();
    ++first_number_;
  }
}

void AckFrontier::keepalive(Lsn wal_end) {
  if (idle()) advance(wal_end, first_number_ - 1);
}

void AckFrontier::advance(Lsn to, std::uint64_t rests_on) {
  if (to <= stored_) return;
  stored_ = to;
  rests_on_ = rests_on;
}

ReplayWindow::ReplayWindow(std::chrono::milliseconds window, std::uint64_t max_bytes, Lsn floor)
    : window_(window), max_bytes_(max_bytes), floor_(floor) {}

void ReplayWindow::observe(const AckFrontier& frontier, Clock::time_point now) {
  const Lsn stored = frontier.stored();
  if (stored <= newest_) return;
  newest_ = stored;
  const bool off = window_ == std::chrono::milliseconds(0);
  const auto same_step = [&](const Step& step) {
    return off || (now - step.opened < window_ / steps_per_window &&
                   (max_bytes_ == 0 || stored - step.first < max_bytes_ / steps_per_window));
  };
  if (!steps_.empty() && same_step(steps_.back())) {
    steps_.back().last_seen = now;
    steps_.back().lsn = stored;
    steps_.back().rests_on = frontier.rests_on();
  } else {
    steps_.push_back({.last_seen = now,
                      .opened = now,
                      .first = stored,
                      .lsn = stored,
                      .rests_on = frontier.rests_on()});
  }
}

std::optional<SafeLsn> ReplayWindow::safe(Clock::time_point now) {
  const bool off = window_ == std::chrono::milliseconds(0);
  while (!steps_.empty()) {
    const Step& oldest = steps_.front();
    const bool old_enough = off || now - oldest.last_seen >= window_;
    const Lsn held_from = safe_ ? safe_->lsn() : floor_;
    const bool too_much = max_bytes_ > 0 && newest_ - held_from > max_bytes_;
    if (!old_enough && !too_much) break;
    cut_short_ = !old_enough;
    safe_ = SafeLsn(oldest.lsn, oldest.rests_on);
    steps_.pop_front();
  }
  return safe_;
}

}  // namespace pg
