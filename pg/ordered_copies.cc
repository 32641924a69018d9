#include "pg/ordered_copies.h"

#include <poll.h>

#include <cassert>
#include <cerrno>
#include <utility>

namespace pg {

using Polled = SqlSession::Polled;

OrderedCopies::OrderedCopies(SqlSession& first, SqlSession* second, std::size_t most_bytes,
                             NextQuery next)
    : most_bytes_(most_bytes), next_(std::move(next)) {
  lanes_[0].session = &first;
  lanes_[1].session = second;
}

void OrderedCopies::start(Lane& lane) {
  const auto query = next_();
  lane.loaded = lane.running = query.has_value();
  if (query) lane.session->start_copy(*query);
}

bool OrderedCopies::begin() {
  assert(!current().running);
  start(current());
  if (lanes_[1].session != nullptr) {
    if (std::exchange(begun_, true)) {
      current_ = 1 - current_;
    } else {
      start(lanes_[1]);
    }
  }
  return current().loaded;
}

std::optional<std::string_view> OrderedCopies::row() {
  Lane& lane = current();
  if (lane.taken < lane.early.size()) {
    // A line break within a value is escaped.
    const std::size_t end = lane.early.find('\n', lane.taken) + 1;
    const std::string_view row = std::string_view(lane.early).substr(lane.taken, end - lane.taken);
    lane.taken = end;
    return row;
  }
  lane.early.clear();
  lane.taken = 0;
  std::string_view row;
  while (lane.running) {
    switch (lane.session->poll_copy(row)) {
      case Polled::row: return row;
      case Polled::nothing_yet: wait(); break;
      case Polled::end: lane.running = false;
    }
  }
  lane.loaded = false;
  return std::nullopt;
}

// Until the current lane has something; meanwhile the other one's rows are taken in.
void OrderedCopies::wait() {
  Lane& other = lanes_[1 - current_];
  while (true) {
    std::array<pollfd, 2> sockets{{{current().session->socket(), POLLIN, 0}, {-1, POLLIN, 0}}};
    if (may_buffer(other)) sockets[1].fd = other.session->socket();
    if (poll(sockets.data(), sockets.size(), -1) < 0 && errno != EINTR) return;
    if (sockets[1].revents != 0) buffer(other);
    if (sockets[0].revents != 0) return;
  }
}

void OrderedCopies::buffer(Lane& lane) {
  std::string_view row;
  while (may_buffer(lane)) {
    switch (lane.session->poll_copy(row)) {
      case Polled::row: lane.early += row; break;
      case Polled::nothing_yet: return;
      case Polled::end: lane.running = false;
    }
  }
}

}  // namespace pg
