// Several COPY … TO STDOUT, read one after the other as if they were one, while a second session
// works at the next one already: what the server can do at the same time, it does.
//
//   first   ── copy 1 ──▶ rows        ── copy 3 ──▶ rows
//   second  ── copy 2 ──▶ buffer … rows        ── copy 4 ──▶ buffer …
//
// Rows come in the order of the queries, whatever comes in first. What comes early is kept in a
// buffer that is bounded; behind it the server waits. Without a second session there is no buffer,
// and each query begins when the one before has ended.
//
// One thread. Every function may throw pg::Error; then the sessions are of no use any more.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pg/sql_session.h"

namespace pg {

class OrderedCopies {
 public:
  using NextQuery = std::function<std::optional<std::string>()>;  // nothing: there is none

  // `second`: nullptr for none. `most_bytes`: of the buffer; one row more may be in it.
  OrderedCopies(SqlSession& first, SqlSession* second, std::size_t most_bytes, NextQuery next);

  // Goes on to the next query, once row() has come to the end of the one before. False: that was
  // the last.
  bool begin();
  // The query's next row, with its line break; valid until the next call. Nothing at its end.
  std::optional<std::string_view> row();

 private:
  struct Lane {
    SqlSession* session = nullptr;
    bool running = false;  // rows may still come
    bool loaded = false;   // there is a query whose rows were not all taken
    std::string early;     // rows that came while the other lane was read
    std::size_t taken = 0;
  };
  void start(Lane& lane);
  void wait();
  void buffer(Lane& lane);
  Lane& current() { return lanes_[current_]; }
  bool may_buffer(const Lane& lane) const {
    return lane.running && lane.early.size() < most_bytes_;
  }

  std::array<Lane, 2> lanes_;
  std::size_t current_ = 0;
  std::size_t most_bytes_;
  NextQuery next_;
  bool begun_ = false;
};

}  // namespace pg
