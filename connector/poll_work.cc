#include "connector/poll_work.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

#include "connector/stop.h"

namespace connector {
namespace {

using nlohmann::ordered_json;
using publisher::StreamSequence;

constexpr std::size_t most_bytes = 16 << 10;  // of the batches in one value
constexpr std::size_t bytes_beside = 60;      // of a batch's snapshot, about

ordered_json to_json(const PollBatch& batch) {
  return {batch.number, batch.snapshot, batch.end.value, batch.rows, batch.at_ms, batch.digest};
}

PollBatch parse_batch(const ordered_json& json) {
  return {.number = json.at(0).get<std::uint64_t>(),
          .snapshot = json.at(1).get<std::string>(),
          .end = StreamSequence(json.at(2).get<std::uint64_t>()),
          .rows = json.at(3).get<std::uint64_t>(),
          .at_ms = json.at(4).get<std::int64_t>(),
          .digest = json.at(5).get<std::uint64_t>()};
}

ordered_json to_json(const std::vector<PollBatch>& batches, const std::string& base) {
  ordered_json list = ordered_json::array();
  for (const PollBatch& batch : batches) list.push_back(to_json(batch));
  return {{"base", base}, {"batches", std::move(list)}};
}

std::vector<PollBatch> parse_batches(const ordered_json& json) {
  std::vector<PollBatch> batches;
  for (const auto& one : json.at("batches")) batches.push_back(parse_batch(one));
  return batches;
}

[[noreturn]] void unreadable(const std::exception& error) {
  throw Stop(Exit::position_lost, fmt::format("the saved batches cannot be read: {}", error.what()),
             "restore the key in the bucket `walferry`; `run --accept-gap` after purging it begins "
             "anew, and may publish again what the stream holds");
}

}  // namespace

void PollWork::identify(const std::string& columns) {
  if (std::exchange(identity, columns) == columns) return;
  for (PollBatch& batch : batches) batch.digest = 0;
  if (place) place->digest = 0;
  sample.clear();
}

std::optional<std::uint64_t> PollWork::first() const {
  if (!batches.empty()) return batches.front().number;
  return open ? std::optional(open->number) : std::nullopt;
}

const std::string& PollWork::newest() const {
  return open ? open->snapshot : batches.empty() ? base : batches.back().snapshot;
}

const std::string& PollWork::before(std::uint64_t number) const {
  const std::string* found = &base;
  for (const PollBatch& batch : batches) {
    if (batch.number >= number) break;
    found = &batch.snapshot;
  }
  return *found;
}

const PollBatch* PollWork::find(std::uint64_t number) const {
  if (open && open->number == number) return &*open;
  const auto at = std::lower_bound(
      batches.begin(), batches.end(), number,
      [](const PollBatch& batch, std::uint64_t wanted) { return batch.number < wanted; });
  return at != batches.end() && at->number == number ? &*at : nullptr;
}

std::optional<outbox::Range> PollWork::range(const PollTable& table, std::uint64_t number) const {
  const PollBatch* batch = find(number);
  if (batch == nullptr || table.left || table.since > number) return std::nullopt;
  return outbox::Range{.after = table.since == number ? table.from : before(number),
                       .upto = batch->snapshot};
}

void PollWork::take_tables(const std::vector<std::pair<std::string, std::string>>& configured) {
  for (PollTable& table : tables) {
    const bool there = std::find(configured.begin(), configured.end(),
                                 std::pair(table.schema, table.name)) != configured.end();
    if (there && table.left) {
      table.since = last + 1;
      table.from = *std::exchange(table.left, std::nullopt);
    } else if (!there && !table.left) {
      table.left = table.since > last ? table.from : newest();
    }
  }
  for (const auto& named : configured) {
    const bool known = std::any_of(tables.begin(), tables.end(), [&](const PollTable& table) {
      return std::pair(table.schema, table.name) == named;
    });
    if (!known) {
      tables.push_back({.schema = named.first,
                        .name = named.second,
                        .since = last + 1,
                        .from = "",
                        .left = {},
                        .removed = ""});
    }
  }
}

void PollWork::begin(std::string snapshot, StreamSequence stream_end) {
  open = PollBatch{
      .number = ++last, .snapshot = std::move(snapshot), .end = stream_end, .rows = 0, .at_ms = 0};
  open_rows = 0;
  place.reset();
}

void PollWork::complete(StreamSequence end, std::uint64_t rows, std::int64_t now_ms,
                        const std::optional<PollDigest>& digest) {
  place.reset();
  open_rows = 0;
  PollBatch batch = *std::exchange(open, std::nullopt);
  batch.end = end;
  batch.rows = rows;
  batch.at_ms = now_ms;
  batch.digest = digest ? digest->value() : 0;
  sample = digest ? digest->sample() : PollDigest::Sample();
  batches.push_back(std::move(batch));
}

bool PollWork::forget_before(
    std::int64_t at_ms, const std::function<std::optional<std::string>(const PollArchive&)>& read) {
  bool any = false;
  while (!archives.empty() && archives.front().at_ms < at_ms) {
    if (const auto text = read(archives.front())) {
      const std::vector<PollBatch> gone = parse_batches(ordered_json::parse(*text));
      if (!gone.empty()) {
        due = gone.back().snapshot;
        due_number = gone.back().number;
      }
    }
    archives.erase(archives.begin());
    any = true;
  }
  // What comes before `batches` must be whole.
  if (!archives.empty()) return any;
  auto keep = batches.begin();
  while (keep != batches.end() && keep + 1 != batches.end() && keep->at_ms < at_ms) ++keep;
  if (keep == batches.begin()) return any;
  due = base = std::prev(keep)->snapshot;
  due_number = std::prev(keep)->number;
  batches.erase(batches.begin(), keep);
  return true;
}

std::optional<std::pair<PollArchive, std::string>> PollWork::split() {
  std::size_t bytes = 0;
  for (const PollBatch& batch : batches) bytes += batch.snapshot.size() + bytes_beside;
  if (bytes <= most_bytes || batches.size() < 2) return std::nullopt;
  const auto middle = batches.begin() + static_cast<std::ptrdiff_t>(batches.size() / 2);
  const std::vector<PollBatch> older(batches.begin(), middle);
  const PollArchive archive{.first = older.front().number, .at_ms = older.back().at_ms};
  std::string text = to_json(older, base).dump();
  base = older.back().snapshot;
  batches.erase(batches.begin(), middle);
  archives.push_back(archive);
  return std::pair(archive, std::move(text));
}

void PollWork::join(const std::string& archive) {
  try {
    const auto json = ordered_json::parse(archive);
    std::vector<PollBatch> older = parse_batches(json);
    base = json.at("base").get<std::string>();
    batches.insert(batches.begin(), older.begin(), older.end());
  } catch (const nlohmann::json::exception& error) {
    unreadable(error);
  }
}

ordered_json to_json(const PollWork& work) {
  ordered_json tables = ordered_json::array();
  for (const PollTable& table : work.tables) {
    ordered_json one{{"schema", table.schema}, {"name", table.name}, {"since", table.since}};
    if (!table.from.empty()) one["from"] = table.from;
    if (table.left) one["left"] = *table.left;
    if (!table.removed.empty()) one["removed"] = table.removed;
    tables.push_back(std::move(one));
  }
  ordered_json archives = ordered_json::array();
  for (const PollArchive& archive : work.archives) {
    archives.push_back({archive.first, archive.at_ms});
  }
  ordered_json json = to_json(work.batches, work.base);
  json["last"] = work.last;
  json["open"] = work.open ? to_json(*work.open) : ordered_json(nullptr);
  if (work.open) json["open_rows"] = work.open_rows;
  json["sample"] = work.sample;
  json["wal_end"] = work.wal_end;
  json["identity"] = work.identity;
  if (work.place) {
    json["place"] = {work.place->table, work.place->id.value_or(""), work.place->row,
                     work.place->digest};
  }
  json["tables"] = std::move(tables);
  json["archives"] = std::move(archives);
  json["due"] = work.due;
  json["due_number"] = work.due_number;
  return json;
}

PollWork parse_poll_work(const ordered_json& json) {
  if (json.is_null()) return {};
  try {
    PollWork work;
    work.base = json.at("base").get<std::string>();
    work.batches = parse_batches(json);
    work.last = json.at("last").get<std::uint64_t>();
    if (!json.at("open").is_null()) work.open = parse_batch(json.at("open"));
    work.open_rows = json.value("open_rows", std::uint64_t{0});
    work.sample = json.value("sample", PollDigest::Sample());
    work.wal_end = json.value("wal_end", std::string());
    work.identity = json.value("identity", std::string());
    if (json.contains("place")) {
      const auto& place = json.at("place");
      work.place = PollPlace{.table = place.at(0).get<std::size_t>(),
                             .id = place.at(1).get<std::string>(),
                             .row = place.at(2).get<std::uint64_t>(),
                             .digest = place.at(3).get<std::uint64_t>()};
    }
    for (const auto& one : json.at("tables")) {
      PollTable table{.schema = one.at("schema").get<std::string>(),
                      .name = one.at("name").get<std::string>(),
                      .since = one.at("since").get<std::uint64_t>(),
                      .from = one.value("from", std::string()),
                      .left = {},
                      .removed = one.value("removed", std::string())};
      if (one.contains("left")) table.left = one.at("left").get<std::string>();
      work.tables.push_back(std::move(table));
    }
    for (const auto& one : json.at("archives")) {
      work.archives.push_back(
          {.first = one.at(0).get<std::uint64_t>(), .at_ms = one.at(1).get<std::int64_t>()});
    }
    work.due = json.at("due").get<std::string>();
    work.due_number = json.at("due_number").get<std::uint64_t>();
    return work;
  } catch (const nlohmann::json::exception& error) {
    unreadable(error);
  }
}

std::string to_string(const PollId& id) { return fmt::format("{}:poll:{}", id.batch, id.row); }

std::string batch_header_value(const outbox::Range& range) {
  return range.after.empty() ? range.upto : range.after + " " + range.upto;
}

std::optional<outbox::Range> parse_batch_header(std::string_view text) {
  const auto blank = text.find(' ');
  outbox::Range range;
  if (blank != std::string_view::npos) range.after = text.substr(0, blank);
  range.upto = text.substr(blank == std::string_view::npos ? 0 : blank + 1);
  const bool good = pg::Visibility::parse(range.upto) &&
                    (range.after.empty() || pg::Visibility::parse(range.after));
  return good ? std::optional(range) : std::nullopt;
}

std::optional<PollId> parse_poll_id(std::string_view text) {
  constexpr std::string_view tag = ":poll:";
  const auto at = text.find(tag);
  if (at == std::string_view::npos) return std::nullopt;
  const auto number = [](std::string_view digits) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || rest != end || value == 0) return std::nullopt;
    return value;
  };
  const auto batch = number(text.substr(0, at));
  const auto row = number(text.substr(at + tag.size()));
  if (!batch || !row) return std::nullopt;
  return PollId{.batch = *batch, .row = *row};
}

}  // namespace connector
