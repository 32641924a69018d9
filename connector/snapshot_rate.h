// Rows a second, over the last while only: what was paused, or has become slower, is not averaged
// with the time before.
#pragma once

#include <chrono>
#include <cstdint>

namespace connector {

class SnapshotRate {
 public:
  using Clock = std::chrono::steady_clock;

  void begin(std::uint64_t rows, Clock::time_point now) { older_ = newer_ = {rows, now}; }

  // There are so many now. Returns the rate; 0 while there is nothing to tell it by.
  std::uint64_t at(std::uint64_t rows, Clock::time_point now) {
    constexpr std::chrono::seconds window{10};
    if (now - newer_.time >= window) {
      older_ = newer_;
      newer_ = {rows, now};
    }
    const double elapsed = std::chrono::duration<double>(now - older_.time).count();
    if (rows <= older_.rows || elapsed <= 0) return 0;
    return static_cast<std::uint64_t>(static_cast<double>(rows - older_.rows) / elapsed);
  }

 private:
  struct Point {
    std::uint64_t rows = 0;
    Clock::time_point time;
  };
  Point older_;
  Point newer_;
};

}  // namespace connector
