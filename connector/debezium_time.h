// Postgres's text of dates and times (datestyle ISO, intervalstyle iso_8601, timezone UTC) as
// Debezium encodes them under time.precision.mode = adaptive, its default: numbers since
// 1970-01-01 or midnight, and ISO 8601 strings where there is a time zone.
// Facts: the data type mappings of "Debezium connector for PostgreSQL"; PostgresValueConverter and
// DateTimeFormat for what infinity becomes; io.debezium.time.ZonedTimestamp and ZonedTime.
//
// Exact over all years that Postgres has, before Christ too; where Java's 64 bits end (timestamps
// after the year 294247), the number goes on. All append, and throw BadValue for a text that does
// not look like the type's.
#pragma once

#include <string>
#include <string_view>

namespace connector {

enum class TimeUnit { millis, micros };

void append_debezium_date(std::string& out, std::string_view text);                 // days
void append_debezium_time(std::string& out, std::string_view text, TimeUnit unit);  // since 0:00
void append_debezium_timestamp(std::string& out, std::string_view text, TimeUnit unit);
// `digits` of the second, 0 to 6: as many as the type has.
void append_debezium_timestamptz(std::string& out, std::string_view text, int digits);
void append_debezium_timetz(std::string& out, std::string_view text);  // moved to UTC
// Microseconds; a month has 365.25 / 12 days. Exact in whole numbers, where Debezium adds doubles.
void append_debezium_interval(std::string& out, std::string_view text);

}  // namespace connector
