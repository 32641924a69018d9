#include "connector/debezium_time.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

#include "connector/debezium_number.h"
#include "connector/json_value.h"

namespace connector {
namespace {

constexpr std::int64_t day_seconds = 86'400;
constexpr std::int64_t million = 1'000'000;

[[noreturn]] void fail() { throw BadValue("a date or time that is not in ISO format"); }

// Reads a text from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool done() const { return at_ == text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(std::string_view token) {
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail();
  }
  std::int64_t number() {
    const std::size_t begin = at_;
    std::int64_t value = 0;
    for (; !done() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (at_ - begin == 12) fail();  // no part of any time is as long
      value = value * 10 + (text_[at_] - '0');
    }
    if (at_ == begin) fail();
    return value;
  }
  // What follows the point of a second, in microseconds.
  std::int64_t fraction() {
    if (!take(".")) return 0;
    const std::size_t begin = at_;
    std::int64_t value = number();
    if (at_ - begin > 6) fail();
    for (std::size_t digits = at_ - begin; digits < 6; ++digits) value *= 10;
    return value;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

struct Date {
  std::int64_t year = 0;  // 0 is 1 BC
  std::int64_t month = 0;
  std::int64_t day = 0;
};

struct Clock {
  std::int64_t seconds = 0;  // since midnight
  std::int64_t micros = 0;
};

Date read_date(Reader& in) {
  Date date;
  date.year = in.number();
  in.expect("-");
  date.month = in.number();
  in.expect("-");
  date.day = in.number();
  if (date.month < 1 || date.month > 12 || date.day < 1 || date.day > 31) fail();
  return date;
}

Clock read_clock(Reader& in) {
  const std::int64_t hours = in.number();
  in.expect(":");
  const std::int64_t minutes = in.number();
  in.expect(":");
  const std::int64_t seconds = in.number();
  return {hours * 3600 + minutes * 60 + seconds, in.fraction()};
}

// The era stands at the very end.
void read_era(Reader& in, Date& date) {
  if (in.take(" BC")) date.year = 1 - date.year;
  if (!in.done()) fail();
}

// Days since 1970-01-01 in the proleptic Gregorian calendar; std::chrono's years end at 32767.
// Years are counted from March, so that the leap day is the last: 719468 days before 1970 it is
// 0000-03-01.
std::int64_t days_since_epoch(const Date& date) {
  const std::int64_t year = date.month <= 2 ? date.year - 1 : date.year;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
  const std::int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

// seconds + micros / 10^6, where micros is 0 to 999999, in the unit.
void append_count(std::string& out, std::int64_t seconds, std::int64_t micros, TimeUnit unit) {
  if (seconds < 0) {
    out += '-';
    seconds = -seconds;
    if (micros > 0) {
      --seconds;
      micros = million - micros;
    }
  }
  const bool millis = unit == TimeUnit::millis;
  const std::int64_t part = millis ? micros / 1000 : micros;
  auto end = std::back_inserter(out);
  if (seconds == 0) {
    fmt::format_to(end, "{}", part);
  } else {
    fmt::format_to(end, "{}{:0{}}", seconds, part, millis ? 3 : 6);
  }
}

void append_fraction(std::string& out, std::int64_t micros, int digits) {
  if (digits == 0) return;
  const std::string all = fmt::format("{:06}", micros);
  out += '.';
  out.append(all, 0, static_cast<std::size_t>(digits));
}

}  // namespace

// Debezium reads infinity as days since 2000 in 32 bits, counts on from 1970, and wraps: so both
// are far before any date that Postgres has.
void append_debezium_date(std::string& out, std::string_view text) {
  if (text == "infinity") {
    out += "-2147472692";
  } else if (text == "-infinity") {
    out += "-2147472691";
  } else {
    Reader in(text);
    Date date = read_date(in);
    read_era(in, date);
    fmt::format_to(std::back_inserter(out), "{}", days_since_epoch(date));
  }
}

void append_debezium_time(std::string& out, std::string_view text, TimeUnit unit) {
  Reader in(text);
  const Clock clock = read_clock(in);
  if (!in.done()) fail();
  append_count(out, clock.seconds, clock.micros, unit);
}

// Infinity is PGStatement.DATE_POSITIVE_INFINITY of the JDBC driver, taken as microseconds.
void append_debezium_timestamp(std::string& out, std::string_view text, TimeUnit unit) {
  if (text == "infinity" || text == "-infinity") {
    const bool negative = text.front() == '-';
    if (unit == TimeUnit::micros) {
      out += negative ? "-9223372036832400000" : "9223372036825200000";
    } else {
      out += negative ? "-9223372036832400" : "9223372036825200";
    }
    return;
  }
  Reader in(text);
  Date date = read_date(in);
  in.expect(" ");
  const Clock clock = read_clock(in);
  read_era(in, date);
  append_count(out, days_since_epoch(date) * day_seconds + clock.seconds, clock.micros, unit);
}

void append_debezium_timestamptz(std::string& out, std::string_view text, int digits) {
  if (text == "infinity" || text == "-infinity") return append_json_string(out, text);
  Reader in(text);
  Date date = read_date(in);
  in.expect(" ");
  const Clock clock = read_clock(in);
  in.expect("+00");
  read_era(in, date);
  // As ISO_LOCAL_DATE of java.time has it: four digits, and a sign where they do not do.
  const char* sign = date.year < 0 ? "-" : date.year > 9999 ? "+" : "";
  fmt::format_to(std::back_inserter(out), "\"{}{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", sign,
                 date.year < 0 ? -date.year : date.year, date.month, date.day, clock.seconds / 3600,
                 clock.seconds / 60 % 60, clock.seconds % 60);
  append_fraction(out, clock.micros, digits);
  out += "Z\"";
}

void append_debezium_timetz(std::string& out, std::string_view text) {
  Reader in(text);
  Clock clock = read_clock(in);
  const bool behind = in.peek() == '-';
  if (!behind && in.peek() != '+') fail();
  in.expect(behind ? "-" : "+");
  std::int64_t offset = in.number() * 3600;
  if (in.take(":")) offset += in.number() * 60;
  if (in.take(":")) offset += in.number();
  if (!in.done()) fail();
  if (offset != 0) {
    clock.seconds = (clock.seconds + (behind ? offset : -offset) + 2 * day_seconds) % day_seconds;
  }
  fmt::format_to(std::back_inserter(out), "\"{:02}:{:02}:{:02}", clock.seconds / 3600,
                 clock.seconds / 60 % 60, clock.seconds % 60);
  int digits = clock.micros == 0 ? 0 : 6;
  for (std::int64_t rest = clock.micros; digits > 0 && rest % 10 == 0; rest /= 10) --digits;
  append_fraction(out, clock.micros, digits);
  out += "Z\"";
}

void append_debezium_interval(std::string& out, std::string_view text) {
  if (text == "infinity" || text == "-infinity") return append_debezium_special(out, text);
  constexpr std::int64_t month_seconds = 2'629'800;  // 365.25 / 12 days
  Reader in(text);
  in.expect("P");
  std::int64_t seconds = 0;
  std::int64_t micros = 0;
  bool in_time = false;
  while (!in.done()) {
    if (in.take("T")) in_time = true;
    const bool negative = in.take("-");
    const std::int64_t count = negative ? -in.number() : in.number();
    const std::int64_t fraction = in.fraction();
    if (!in_time && in.take("Y")) {
      seconds += count * 12 * month_seconds;
    } else if (!in_time && in.take("M")) {
      seconds += count * month_seconds;
    } else if (!in_time && in.take("D")) {
      seconds += count * day_seconds;
    } else if (in_time && in.take("H")) {
      seconds += count * 3600;
    } else if (in_time && in.take("M")) {
      seconds += count * 60;
    } else if (in_time && in.take("S")) {
      seconds += count;
      micros = negative ? -fraction : fraction;
    } else {
      fail();
    }
  }
  if (micros < 0) {
    --seconds;
    micros += million;
  }
  append_count(out, seconds, micros, TimeUnit::micros);
}

}  // namespace connector
