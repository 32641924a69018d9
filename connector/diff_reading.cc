#include "connector/diff_reading.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "connector/failpoint.h"
#include "outbox/sort_key.h"
#include "pg/copy_text.h"

namespace connector {
namespace {

using outbox::BlockRange;
using outbox::StateBlock;

constexpr unsigned rows_a_tick = 256;
constexpr std::uint64_t rows_a_piece = 16384;
constexpr std::size_t most_early_bytes = 4U << 20U;

std::int64_t integer(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

std::vector<BlockRange> cut(const std::vector<StateBlock>& blocks, BlockRange run) {
  std::vector<BlockRange> pieces;
  std::uint64_t rows = rows_a_piece;
  for (std::size_t block = run.from; block < run.to; ++block) {
    if (rows >= rows_a_piece) {
      pieces.push_back({block, block});
      rows = 0;
    }
    rows += blocks[block].rows;
    pieces.back().to = block + 1;
  }
  return pieces;
}

DiffReading::DiffReading(DiffSessions& sessions, pg::SqlSession* second,
                         const outbox::DiffTable& table, const std::vector<StateBlock>& blocks,
                         std::vector<BlockRange> ranges, std::uint64_t seed,
                         const std::function<void()>& tick)
    : table_(table),
      ranges_(std::move(ranges)),
      seed_(seed),
      tick_(tick),
      copies_(sessions.first(), second, most_early_bytes,
              [this, &blocks]() -> std::optional<std::string> {
                if (asked_ == ranges_.size()) return std::nullopt;
                return table_.read_query(seed_, blocks, ranges_[asked_++]);
              }),
      progress_(fmt::format("reading table {}", table.name()), "rows",
                static_cast<std::uint64_t>(table.estimated_rows)) {}

const outbox::NewRow* DiffReading::next() {
  const auto line = copies_.row();
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
