#include "connector/diff_sums.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

namespace connector {
namespace {

using outbox::BlockRange;
using outbox::DiffTable;
using outbox::HashSum;
using outbox::StateBlock;
using pg::cell;

constexpr std::size_t most_parts = 64;
constexpr std::size_t blocks_a_part = 32;  // at least: a sample costs 1/32 of asking for all
constexpr std::size_t most_asked = 4;      // conditions that every row of the table is held against

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

HashSum sum_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  HashSum sum = 0;
  for (const char c : text.substr(negative ? 1 : 0)) sum = sum * 10 + (c - '0');
  return negative ? -sum : sum;
}

// Clears those of `changed` that are as they were.
void clear_same(const pg::PgResult& sums, const std::vector<StateBlock>& blocks,
                std::vector<bool>& changed) {
  for (int i = 0; i < PQntuples(sums.get()); ++i) {
    const auto block = static_cast<std::size_t>(number(cell(sums, i, 0)));
    const StateBlock& then = blocks.at(block);
    if (number(cell(sums, i, 1)) == then.rows && sum_of(cell(sums, i, 2)) == then.sum) {
      changed[block] = false;
    }
  }
}

std::vector<bool> changed_whole(pg::SqlSession& sql, const DiffTable& table, const OldState& old) {
  const std::vector<StateBlock>& blocks = old.state->blocks();
  const pg::PgResult sums = sql.exec(table.sums_query(blocks, old.seeds.columns));
  HashSum sum = 0;
  for (const StateBlock& block : blocks) sum += block.sum;
  const bool empty = PQntuples(sums.get()) == 0;
  const std::uint64_t rows = empty ? 0 : number(cell(sums, 0, 1));
  const bool same =
      rows == old.state->rows() && (empty ? HashSum{0} : sum_of(cell(sums, 0, 2))) == sum;
  return std::vector<bool>(std::max<std::size_t>(blocks.size(), 1), !same);
}

}  // namespace

std::vector<std::size_t> sampled_blocks(std::size_t blocks) {
  const std::size_t parts = std::min(most_parts, blocks / blocks_a_part);
  std::vector<std::size_t> sampled;
  if (parts < 2) return sampled;
  for (std::size_t i = 0; i < parts; ++i) {
    sampled.push_back((i * blocks / parts + (i + 1) * blocks / parts) / 2);
  }
  return sampled;
}

std::vector<BlockRange> asked_blocks(std::size_t blocks, const std::vector<bool>& changed) {
  const std::size_t parts = changed.size();
  std::vector<BlockRange> asked;
  for (std::size_t i = 0; i < parts; ++i) {
    if (changed[i]) continue;
    const BlockRange part{i * blocks / parts, (i + 1) * blocks / parts};
    if (!asked.empty() && asked.back().to == part.from) {
      asked.back().to = part.to;
    } else {
      asked.push_back(part);
    }
  }
  if (asked.size() <= most_asked) return asked;
  const auto count = static_cast<std::size_t>(std::count(changed.begin(), changed.end(), true));
  if (count * 3 > parts) return {};
  return {{0, blocks}};
}

std::vector<bool> changed_blocks(pg::SqlSession& sql, const DiffTable& table, const OldState& old) {
  const std::vector<StateBlock>& blocks = old.state->blocks();
  if (!table.ranged() || blocks.size() < 2) return changed_whole(sql, table, old);
  const std::uint64_t seed = old.seeds.columns;
  std::vector<bool> changed(blocks.size(), true);
  std::vector<BlockRange> asked{{0, blocks.size()}};
  if (const auto sampled = sampled_blocks(blocks.size());
      table.key[0].indexed && !sampled.empty()) {
    clear_same(sql.exec(table.sample_query(blocks, seed, sampled)), blocks, changed);
    std::vector<bool> samples;
    samples.reserve(sampled.size());
    for (const std::size_t block : sampled) samples.push_back(changed[block]);
    asked = asked_blocks(blocks.size(), samples);
  }
  std::size_t count = 0;
  for (const BlockRange& range : asked) count += range.to - range.from;
  if (count == blocks.size()) asked.clear();
  if (count > 0) clear_same(sql.exec(table.sums_query(blocks, seed, asked)), blocks, changed);
  spdlog::debug("table {}: {} ranges, the sums of {} asked for, {} to be read", table.name(),
                blocks.size(), count, std::count(changed.begin(), changed.end(), true));
  return changed;
}

// Each run is a query of its own, which costs about as much as a block.
std::optional<std::vector<BlockRange>> runs_to_read(const DiffTable& table,
                                                    const std::vector<bool>& changed) {
  if (!table.ranged() || changed.size() < 2) return std::nullopt;
  std::vector<BlockRange> runs;
  std::size_t blocks = 0;
  for (std::size_t i = 0; i < changed.size(); ++i) {
    if (!changed[i]) continue;
    if (runs.empty() || runs.back().to != i) runs.push_back({i, i});
    runs.back().to = i + 1;
    ++blocks;
  }
  const std::size_t most_runs = table.key[0].indexed ? changed.size() : 1;
  if (blocks + runs.size() > changed.size() || runs.size() > most_runs) return std::nullopt;
  return runs;
}

}  // namespace connector
