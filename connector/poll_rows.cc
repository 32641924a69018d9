#include "connector/poll_rows.h"

#include <fmt/format.h>

#include <algorithm>

namespace connector {

bool BatchRows::covers(std::uint64_t number) const {
  const PollBatch* batch = work_.find(number);
  const auto snapshot = batch == nullptr ? std::nullopt : pg::Visibility::parse(batch->snapshot);
  if (!snapshot) return false;
  return std::none_of(work_.tables.begin(), work_.tables.end(), [&](const PollTable& table) {
    if (table.since > number) return false;
    if (!table.left) return find_table(tables_, table) == nullptr;
    const auto left = pg::Visibility::parse(*table.left);
    return left && left->xmax() >= snapshot->xmax();
  });
}

std::uint64_t BatchRows::count(std::uint64_t number, const std::optional<PollPlace>& after,
                               const std::optional<PollPlace>& upto) {
  std::uint64_t rows = 0;
  for (std::size_t i = after ? after->table : 0; i < work_.tables.size(); ++i) {
    if (upto && (i > upto->table || (i == upto->table && !upto->id))) break;
    const outbox::PolledTable* table = find_table(tables_, work_.tables[i]);
    const auto range = work_.range(work_.tables[i], number);
    if (table == nullptr || !range) continue;
    rows += poller_.count(*table, *range, after && i == after->table ? after->id : std::nullopt,
                          upto && i == upto->table ? upto->id : std::nullopt);
  }
  return rows;
}

std::optional<PollDigest> BatchRows::digest(std::uint64_t number, std::uint64_t rows,
                                            const std::optional<PollPlace>& last) {
  PollDigest digest;
  PollPlace at;
  for (std::size_t i = 0; i < work_.tables.size() && rows > 0; ++i) {
    const outbox::PolledTable* table = find_table(tables_, work_.tables[i]);
    const auto range = work_.range(work_.tables[i], number);
    if (table == nullptr || !range) continue;
    outbox::PolledTable identity = *table;
    identity.columns = table->identity;
    identity.typed.reset();
    poller_.begin(identity, *range, {}, rows);
    while (const auto row = poller_.next()) {
      digest.add(i, *row);
      const auto* id = std::get_if<std::string_view>(&row->front());
      at = {.table = i, .id = std::string(id == nullptr ? std::string_view() : *id)};
      --rows;
    }
  }
  if (rows > 0 || (last && (at.table != last->table || at.id != last->id))) return std::nullopt;
  return digest;
}

bool BatchRows::has_highest(const PollBatch& batch) {
  const auto snapshot = pg::Visibility::parse(batch.snapshot);
  const auto before = pg::Visibility::parse(work_.before(batch.number));
  if (!snapshot || (before && before->xmax() == snapshot->xmax())) return true;
  return std::any_of(tables_.begin(), tables_.end(), [&](const outbox::PolledTable& table) {
    return poller_.has(table, snapshot->xmax() - 1);
  });
}

std::optional<BatchRows::Lack> BatchRows::lack_of(const PollBatch& batch) {
  const Lack lack{
      .number = batch.number, .published = batch.rows, .there = count(batch.number, {}, {})};
  if (lack.there != batch.rows) return lack;
  if (batch.digest == 0) return std::nullopt;
  const auto now = digest(batch.number, batch.rows);
  return now && now->value() == batch.digest ? std::nullopt : std::optional(lack);
}

std::optional<BatchRows::Lack> BatchRows::lack_of_open(const PollPlace& published) {
  const PollBatch& open = *work_.open;
  const Lack lack{.number = open.number,
                  .published = published.row,
                  .there = count(open.number, {}, published)};
  if (lack.there != published.row || !has_highest(open)) return lack;
  if (!work_.place || work_.place->digest == 0) return std::nullopt;
  const auto now = digest(open.number, work_.place->row);
  return now && now->value() == work_.place->digest ? std::nullopt : std::optional(lack);
}

std::optional<std::uint64_t> BatchRows::batch_with_others(
    const std::optional<PollPlace>& published) {
  constexpr std::ptrdiff_t most = 32;  // the newest; each is a statement or two
  if (work_.open && covers(work_.open->number)) {
    const std::uint64_t number = work_.open->number;
    const auto& place = work_.place;
    if ((published && has_others(number, published->row, 0, {}, published)) ||
        (place && has_others(number, place->row, place->digest, {}, place))) {
      return number;
    }
  }
  const auto end = work_.batches.rend();
  for (auto batch = work_.batches.rbegin(); batch != end; ++batch) {
    if (batch - work_.batches.rbegin() == most) break;
    const bool newest = batch == work_.batches.rbegin();
    if (covers(batch->number) && has_others(batch->number, batch->rows, batch->digest,
                                            newest ? work_.sample : PollDigest::Sample())) {
      return batch->number;
    }
  }
  return std::nullopt;
}

bool BatchRows::has_others(std::uint64_t number, std::uint64_t rows, std::uint64_t digest,
                           const PollDigest::Sample& sample, const std::optional<PollPlace>& upto) {
  const std::uint64_t there = count(number, {}, upto);
  if (there > rows) return true;
  if (there == 0 || (there < rows ? sample.empty() : digest == 0)) return false;
  const auto now = this->digest(number, there);
  if (!now) return false;  // deleted in between
  return there == rows ? now->value() != digest : connector::has_others(sample, now->sample());
}

std::string identity_of(const std::vector<outbox::PolledTable>& tables) {
  std::string text;
  for (const outbox::PolledTable& table : tables) {
    text += fmt::format("{}.{}(", table.schema, table.name);
    for (const auto& column : table.identity) {
      text += fmt::format("{} {},", column.name, column.type.value);
    }
    text += ")";
  }
  return text;
}

const outbox::PolledTable* find_table(const std::vector<outbox::PolledTable>& tables,
                                      const PollTable& table) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const auto& one) {
    return one.schema == table.schema && one.name == table.name;
  });
  return found == tables.end() ? nullptr : &*found;
}

}  // namespace connector
