#include "connector/diff_reading.h"

#include <fmt/format.h>

#include <charconv>

#include "connector/failpoint.h"
#include "outbox/sort_key.h"
#include "pg/copy_text.h"

namespace connector {
namespace {

constexpr unsigned rows_a_tick = 256;

std::int64_t integer(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

DiffReading::DiffReading(pg::SqlSession& sql, const outbox::DiffTable& table, std::uint64_t seed,
                         const std::function<void()>& tick)
    : sql_(sql),
      table_(table),
      seed_(seed),
      tick_(tick),
      progress_(fmt::format("reading table {}", table.name()), "rows",
                static_cast<std::uint64_t>(table.estimated_rows)) {}

const outbox::NewRow* DiffReading::next() {
  const auto line = sql_.copied();
  if (!line) return nullptr;
  if (++rows_ % rows_a_tick == 0) {
    progress_.report(rows_);
    tick_();
  }
  pass(Failpoint::diff_reading);
  std::string_view text = *line;
  if (text.ends_with('\n')) text.remove_suffix(1);
  key_.clear();
  if (!table_.keyed()) {
    const std::size_t end = text.find('\t');
    read_.server_hash = integer(text.substr(0, end));
    outbox::append_integer(key_, read_.server_hash);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  } else {
    pg::split_copy_line(text, table_.relation.columns.size(), unescaped_, row_);
    table_.key_of(row_, key_);
    read_.server_hash = table_.hasher(row_, seed_);
  }
  read_.key = key_;
  read_.text = text;
  return &read_;
}

}  // namespace connector
