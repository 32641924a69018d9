#include "connector/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>

#include "connector/terminal.h"

namespace connector {
namespace {

using std::chrono::duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds log_interval{10};
constexpr milliseconds draw_interval{200};
// Less WAL than this to go is the ordinary state of a busy server.
constexpr std::uint64_t worth_saying = 16ULL << 20;

}  // namespace

Progress::Progress(std::optional<pg::Lsn> until, Clock::time_point now)
    : until_(until), bar_(until && stderr_is_terminal()), began_(now), next_(now + log_interval) {
  if (bar_) next_ = now + draw_interval;
}

Progress::~Progress() {
  if (drawn_) std::fputc('\n', stderr);
}

void Progress::report(Clock::time_point now, std::uint64_t stored, pg::Lsn at,
                      const std::function<pg::Lsn()>& wal_end) {
  if (!from_ && at.valid()) from_ = at;
  if (now < next_) return;
  if (bar_) {
    next_ = now + draw_interval;
    draw(now, stored, at);
    return;
  }
  next_ = now + log_interval;
  if (stored == said_) return;
  const std::uint64_t news = stored - said_;
  said_ = stored;
  const pg::Lsn end = until_ ? *until_ : wal_end();
  const std::uint64_t left = end > at ? end - at : 0;
  if (!until_ && left < worth_saying) return;
  spdlog::info("{} records stored ({} a second), up to {}; {} of WAL to go", human_number(stored),
               human_number(news / static_cast<std::uint64_t>(log_interval.count())), to_string(at),
               human_bytes(left));
}

void Progress::draw(Clock::time_point now, std::uint64_t stored, pg::Lsn at) {
  constexpr std::size_t width = 30;
  const std::uint64_t whole = from_ && *until_ > *from_ ? *until_ - *from_ : 0;
  const std::uint64_t done = from_ && at > *from_ ? std::min(at - *from_, whole) : 0;
  const double share = whole == 0 ? 0 : static_cast<double>(done) / static_cast<double>(whole);
  const double elapsed = duration<double>(now - began_).count();
  const auto filled = static_cast<std::size_t>(share * width);
  const std::string left =
      share > 0.01 ? human_age(elapsed / share - elapsed) + " left" : std::string();
  fmt::print(stderr, "\r\033[K[{}{}] {:3.0f} %  {} records  {}/s  {}", std::string(filled, '#'),
             std::string(width - filled, '.'), share * 100, human_number(stored),
             human_number(static_cast<std::uint64_t>(static_cast<double>(stored) / elapsed)), left);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace connector
