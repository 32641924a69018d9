#include "connector/when.h"

#include <chrono>
#include <cstdint>

#include "connector/config_values.h"

namespace connector {
namespace {

constexpr std::int64_t second = 1'000'000;

// What is left of a text, taken from its front.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool empty() const { return rest_.empty(); }
  bool take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly so many digits, up to `most`.
  bool digits(int count, std::int64_t most, std::int64_t& number) {
    number = 0;
    for (int i = 0; i < count; ++i) {
      if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return false;
      number = number * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return number <= most;
  }
  // Up to six digits behind a point.
  bool fraction(std::int64_t& micros) {
    std::int64_t unit = second;
    micros = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      if ((unit /= 10) == 0) return false;
      micros += (rest_.front() - '0') * unit;
      rest_.remove_prefix(1);
    }
    return unit < second;
  }

 private:
  std::string_view rest_;
};

bool parse_date(Scanner& in, std::int64_t& micros) {
  using std::chrono::sys_days, std::chrono::year_month_day;
  std::int64_t year = 0;
  std::int64_t month = 0;
  std::int64_t day = 0;
  if (!in.digits(4, 9999, year) || !in.take('-') || !in.digits(2, 12, month) || !in.take('-') ||
      !in.digits(2, 31, day)) {
    return false;
  }
  const year_month_day date(std::chrono::year(static_cast<int>(year)),
                            std::chrono::month(static_cast<unsigned>(month)),
                            std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return false;
  constexpr std::int64_t epoch_of_postgres = 10957;  // 2000-01-01, in days since 1970
  micros = (sys_days(date).time_since_epoch().count() - epoch_of_postgres) * 86'400 * second;
  return true;
}

bool parse_clock(Scanner& in, std::int64_t& micros) {
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t whole = 0;
  std::int64_t fraction = 0;
  if (!in.digits(2, 24, hour) || !in.take(':') || !in.digits(2, 59, minute)) return false;
  if (in.take(':') && !in.digits(2, 59, whole)) return false;
  if (in.take('.') && !in.fraction(fraction)) return false;
  micros += (hour * 3600 + minute * 60 + whole) * second + fraction;
  return true;
}

// "Z", "+02", "+0200", "-02:00", or nothing.
bool parse_zone(Scanner& in, std::int64_t& micros) {
  if (in.empty() || in.take('Z') || in.take('z')) return true;
  const bool east = in.take('+');
  if (!east && !in.take('-')) return false;
  std::int64_t hours = 0;
  std::int64_t minutes = 0;
  if (!in.digits(2, 15, hours)) return false;
  if (in.take(':') || !in.empty()) {
    if (!in.digits(2, 59, minutes)) return false;
  }
  micros += (east ? -1 : 1) * (hours * 3600 + minutes * 60) * second;
  return true;
}

}  // namespace

std::optional<pg::Timestamp> parse_when(std::string_view text, pg::Timestamp now) {
  constexpr std::string_view ago = " ago";
  if (text.ends_with(ago)) {
    const auto before = parse_duration(text.substr(0, text.size() - ago.size()));
    if (!before) return std::nullopt;
    return pg::Timestamp{now.micros - before->count() * 1000};
  }
  Scanner in(text);
  std::int64_t micros = 0;
  if (!parse_date(in, micros)) return std::nullopt;
  if (in.empty()) return pg::Timestamp{micros};
  if (!in.take('T') && !in.take('t') && !in.take(' ')) return std::nullopt;
  if (!parse_clock(in, micros) || !parse_zone(in, micros) || !in.empty()) return std::nullopt;
  return pg::Timestamp{micros};
}

pg::Timestamp current_time() {
  constexpr std::int64_t epoch_of_postgres = 946'684'800 * second;
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count() -
          epoch_of_postgres};
}

}  // namespace connector
