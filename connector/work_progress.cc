#include "connector/work_progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>

#include "connector/terminal.h"

namespace connector {
namespace {

constexpr std::chrono::seconds log_interval{10};
constexpr std::chrono::milliseconds draw_interval{200};
constexpr std::size_t bar_width = 30;

}  // namespace

WorkProgress::WorkProgress(std::string what, std::string unit, std::uint64_t total)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      bar_(stderr_is_terminal()),
      began_(Clock::now()),
      next_(began_ + (bar_ ? Clock::duration(draw_interval) : Clock::duration(log_interval))) {}

WorkProgress::~WorkProgress() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
}

void WorkProgress::report(std::uint64_t done) {
  const auto now = Clock::now();
  if (now < next_) return;
  const double elapsed = std::chrono::duration<double>(now - began_).count();
  const double share =
      total_ == 0 ? 0 : std::min(static_cast<double>(done) / static_cast<double>(total_), 1.0);
  std::string left;
  if (share > 0.01) left = fmt::format(", {} left", human_age(elapsed / share - elapsed));
  const std::string rate =
      human_number(static_cast<std::uint64_t>(static_cast<double>(done) / elapsed));
  show(total_ == 0 ? std::nullopt : std::optional(share),
       fmt::format("{} {} ({} a second{})", human_number(done), unit_, rate, left));
}

void WorkProgress::show(std::optional<double> share, const std::string& words) {
  const auto now = Clock::now();
  if (now < next_) return;
  if (!bar_) {
    next_ = now + log_interval;
    spdlog::info("{}: {}", what_, words);
    return;
  }
  next_ = now + draw_interval;
  std::string bar;
  if (share) {
    const auto filled = static_cast<std::size_t>(*share * bar_width);
    bar = fmt::format("[{}{}] {:3.0f} %  ", std::string(filled, '#'),
                      std::string(bar_width - filled, '.'), *share * 100);
  }
  fmt::print(stderr, "\r\033[K{}{}  {}", bar, what_, words);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace connector
