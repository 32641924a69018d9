// The configuration's keys, defaults and rules, table by table. CONTRACT names a few keys whose
// part is not built yet: they are known, and refused unless they say what happens without them, so
// that nobody believes in a setting that does nothing.
#include "connector/config.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <system_error>
#include <tuple>
#include <utility>

#include "connector/config_choice.h"
#include "connector/config_outbox.h"
#include "connector/config_reader.h"
#include "connector/config_values.h"

namespace connector {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t no_limit = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t max_message_limit = 64ULL << 20;  // what nats-server can be set to
constexpr std::uint64_t max_window_bytes = 1ULL << 30;
constexpr std::uint64_t smallest_spill = 1ULL << 20;

void read_source(Section section, SourceConfig& source) {
  const bool has_dsn = section.given("dsn");
  section.secret("dsn", source.dsn, check_dsn);
  if (!has_dsn) {
    section.problem("dsn", "is missing; write dsn = \"host=... dbname=... user=...\"");
  }
  const bool slot_is_good = section.text("slot", source.slot, check_slot_name);
  const bool publication_is_good =
      section.text("publication", source.publication, check_publication_name);
  if (source.publication.empty() && slot_is_good && publication_is_good) {
    source.publication = source.slot;
    const std::string wrong = check_publication_name(source.slot);
    if (!wrong.empty())
      section.problem("publication", "is the slot's name by default, which " + wrong);
  }
  section.texts("exclude_tables", source.exclude_tables, check_table_name);
  section.one_of("origin", source.origin, {"any", "none"});
  section.duration("replay_window", source.replay_window, milliseconds(0), "off");
  section.size("replay_window_max", source.replay_window_max, 1, no_limit, "off");
  section.texts("messages", source.messages, check_message_prefix);
  section.one_of("streaming", source.streaming, {"off", "on"});
  if (source.streaming == "on" && source.origin == "none") {
    section.problem("streaming",
                    "\"on\" does not go together with origin = \"none\": of a transaction that is "
                    "still running PostgreSQL does not say for sure whether it was replicated; "
                    "change one");
  }
  section.text("spill_dir", source.spill_dir, check_spill_dir);
  section.size("spill_max", source.spill_max, smallest_spill, no_limit);
}

// nats.c takes a list, and no white space in it.
std::string without_spaces(const std::string& urls) {
  std::string result;
  for (const char c : urls) {
    if (static_cast<unsigned char>(c) > 0x20) result += c;
  }
  return result;
}

void check_logins(Section& section, const NatsConfig& nats) {
  constexpr const char* allowed = "use one of creds, nkey_seed_file, user with password, token";
  const std::pair<const char*, bool> ways[] = {{"creds", !nats.creds.empty()},
                                               {"nkey_seed_file", !nats.nkey_seed_file.empty()},
                                               {"user", !nats.user.empty()},
                                               {"token", !nats.token.empty()}};
  const char* first = nullptr;
  for (const auto& [key, is_used] : ways) {
    if (!is_used) continue;
    if (first != nullptr) {
      section.problem(key, fmt::format("does not go together with {}; {}", first, allowed));
    } else {
      first = key;
    }
  }
  if (!nats.password.empty() && nats.user.empty()) {
    section.problem("password", "needs a user; write user = \"...\" too");
  }
  if (nats.tls_cert.empty() != nats.tls_key.empty()) {
    section.problem(nats.tls_cert.empty() ? "tls_key" : "tls_cert",
                    "tls_cert and tls_key go together; give both or none");
  }
}

void read_nats(Section section, NatsConfig& nats) {
  const Check file_or_none = [](std::string_view text) {
    return text.empty() ? std::string() : check_readable_file(text);
  };
  const Check domain_or_none = [](std::string_view text) {
    return text.empty() ? std::string() : check_stream_name(text);
  };
  section.secret("url", nats.url, check_nats_urls);  // it can hold user:password@
  nats.url = without_spaces(nats.url);
  bool good = section.text("creds", nats.creds, file_or_none);
  good &= section.text("nkey_seed_file", nats.nkey_seed_file, file_or_none);
  good &= section.text("user", nats.user);
  good &= section.secret("password", nats.password);
  good &= section.secret("token", nats.token);
  section.text("tls_ca", nats.tls_ca, file_or_none);
  good &= section.text("tls_cert", nats.tls_cert, file_or_none);
  good &= section.text("tls_key", nats.tls_key, file_or_none);
  section.text("domain", nats.domain, domain_or_none);
  if (good) check_logins(section, nats);
}

void read_max_bytes(Section& section, std::int64_t& max_bytes) {
  if (section.is_integer("max_bytes")) {
    section.integer("max_bytes", max_bytes, 0, static_cast<std::int64_t>(no_limit));
    return;
  }
  auto bytes = static_cast<std::uint64_t>(max_bytes);
  section.size("max_bytes", bytes, 1, no_limit, "unlimited");
  max_bytes = static_cast<std::int64_t>(bytes);
}

void read_stream(Section section, StreamConfig& stream) {
  section.text("name", stream.name, check_stream_name);
  section.text("subject_prefix", stream.subject_prefix, check_subject_prefix);
  section.boolean("create", stream.create);
  section.one_of("storage", stream.storage, {"file", "memory"});
  section.texts("subjects", stream.subjects, check_subject);
  section.one_of("discard", stream.discard, {"old", "new"});
  section.one_of("compression", stream.compression, {"none", "s2"});
  std::int64_t replicas = stream.replicas;
  section.integer("replicas", replicas, 1, 5);
  stream.replicas = static_cast<int>(replicas);
  // Both limits of 100 ms are JetStream's, and so is the comparison.
  const milliseconds shortest(100);
  bool ages = section.duration("max_age", stream.max_age, shortest, "unlimited");
  read_max_bytes(section, stream.max_bytes);
  ages &= section.duration("duplicate_window", stream.duplicate_window, shortest);
  section.texts("placement_tags", stream.placement_tags, check_not_empty);
  if (ages && stream.max_age.count() > 0 && stream.duplicate_window > stream.max_age) {
    section.problem(
        section.given("duplicate_window") ? "duplicate_window" : "max_age",
        fmt::format("duplicate_window ({}) must not be longer than max_age ({}); change one",
                    duration_text(stream.duplicate_window), duration_text(stream.max_age)));
  }
}

void read_order(Section& section, std::string& order) {
  if (section.one_of("order", order, {"strict", "dedup"}) && order == "dedup") {
    section.problem("order",
                    "\"dedup\" is not built yet in this version; leave it out or write "
                    "order = \"strict\"");
  }
}

void read_publish(Section section, PublishConfig& publish) {
  section.one_of("format", publish.format, {"json", "debezium", "cloudevents"});
  read_order(section, publish.order);
  std::int64_t max_in_flight = publish.max_in_flight;
  section.integer("max_in_flight", max_in_flight, 1, 10'000);
  publish.max_in_flight = static_cast<std::uint32_t>(max_in_flight);
  bool sizes =
      section.size("max_in_flight_bytes", publish.max_in_flight_bytes, 1, max_window_bytes);
  section.one_of("pack", publish.pack, {"none", "transaction"});
  sizes &= section.size("max_message", publish.max_message, 1, max_message_limit);
  section.one_of("oversize", publish.oversize, {"stop", "omit", "split"});
  if (publish.pack != "none" && publish.format == "cloudevents") {
    section.problem("pack",
                    "\"transaction\" does not go together with format = \"cloudevents\", whose "
                    "headers are of one change; change one");
  }
  if (publish.oversize == "split" && publish.format == "cloudevents") {
    section.problem("oversize",
                    "\"split\" does not go together with format = \"cloudevents\", since a part of "
                    "an event is none; use \"omit\" or \"stop\" (and a larger max_message)");
  }
  if (sizes && publish.max_in_flight_bytes < publish.max_message) {
    section.problem(
        section.given("max_in_flight_bytes") ? "max_in_flight_bytes" : "max_message",
        fmt::format(
            "max_in_flight_bytes ({}) must not be smaller than max_message ({}); change one",
            size_text(publish.max_in_flight_bytes), size_text(publish.max_message)));
  }
}

using TableKey = std::tuple<std::string, std::string, bool>;

void read_table(Section& section, std::vector<TableConfig>& tables,
                std::map<TableKey, std::uint32_t>& lines) {
  std::string name;
  TableConfig choice;
  read_choice(section, choice);
  if (!section.given("name")) {
    section.problem("name", "is missing; write name = \"schema.table\" or \"schema.*\"");
  }
  if (section.text("name", name, check_table_name) && section.given("name")) {
    TableConfig table = std::move(choice);
    const TableConfig named = parse_table_name(name);
    table.schema = named.schema;
    table.table = named.table;
    table.pattern = named.pattern;
    const auto [first, is_new] =
        lines.emplace(TableKey{table.schema, table.table, table.pattern}, section.line("name"));
    if (!is_new) {
      section.problem(
          "name", fmt::format("the same table is named on line {}; name it once", first->second));
    }
    tables.push_back(std::move(table));
  }
  section.unbuilt("capture", "\"wal\"");
  section.unbuilt_table("diff");
}

void read_snapshot(Section section, SnapshotConfig& snapshot) {
  constexpr std::int64_t most_workers = 16;
  constexpr std::int64_t most_rows = 1'000'000;
  std::int64_t workers = snapshot.workers;
  section.integer("workers", workers, 1, most_workers);
  snapshot.workers = static_cast<std::uint32_t>(workers);
  auto rows = static_cast<std::int64_t>(snapshot.chunk_rows);
  section.integer("chunk_rows", rows, 1, most_rows);
  snapshot.chunk_rows = static_cast<std::uint64_t>(rows);
}

void read_log(Section section, LogConfig& log) {
  section.one_of("level", log.level, {"trace", "debug", "info", "warn", "error"});
  section.one_of("format", log.format, {"text", "json"});
  section.boolean("keys", log.keys);
}

Config read_document(const toml::table& document, Reader& reader) {
  Config config;
  Section root(reader, document);
  read_source(root.table("source"), config.source);
  read_nats(root.table("nats"), config.nats);
  read_stream(root.table("stream"), config.stream);
  read_publish(root.table("publish"), config.publish);
  std::map<TableKey, std::uint32_t> lines;
  const std::size_t tables =
      root.each("table", [&](Section& section) { read_table(section, config.tables, lines); });
  read_outboxes(root, config);
  if (tables == 0 && config.outboxes.empty()) {
    root.problem("table", "is missing; write at least one [[table]] with a name, or an [[outbox]]");
  }
  read_snapshot(root.table("snapshot"), config.snapshot);
  root.table("http").unbuilt("listen", "\"\"");
  root.table("diff").unbuilt("state_dir", "\"/var/lib/walferry\"");
  read_log(root.table("log"), config.log);
  return config;
}

std::string_view line_of(std::string_view text, std::uint32_t line) {
  for (std::uint32_t i = 1; i < line; ++i) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + 1);
  }
  return text.substr(0, text.find('\n'));
}

// toml++ quotes what it stumbled over, which must not be a piece of a secret.
std::string syntax_problem(std::string_view text, const std::string& file,
                           const toml::parse_error& error) {
  const std::uint32_t line = error.source().begin.line;
  std::string_view what = error.description();
  for (const std::string_view key : {"dsn", "url", "user", "pass", "token"}) {
    if (line_of(text, line).find(key) != std::string_view::npos) {
      what =
          "is no TOML here: a string without its double quotes, closed on the same line, or a key "
          "that is there already";
    }
  }
  return fmt::format("{}:{}: syntax: {}", file, line, what);
}

std::string joined(const std::vector<std::string>& problems) {
  return fmt::format("{}", fmt::join(problems, "\n"));
}

std::string read_file(const std::string& file) {
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  const auto fail = [&](int error) {
    return ConfigError(
        {fmt::format("{}: cannot be read: {}", file, std::generic_category().message(error))});
  };
  const std::unique_ptr<std::FILE, Close> stream(std::fopen(file.c_str(), "rb"));
  if (!stream) throw fail(errno);
  std::string text;
  char buffer[8192];
  std::size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof buffer, stream.get())) > 0) text.append(buffer, got);
  if (std::ferror(stream.get()) != 0) throw fail(errno);
  return text;
}

}  // namespace

ConfigError::ConfigError(std::vector<std::string> problems)
    : std::runtime_error(joined(problems)), problems_(std::move(problems)) {}

Config load_config(const std::string& file) { return parse_config(read_file(file), file); }

Config parse_config(std::string_view text, const std::string& file_name) {
  Reader reader(file_name);
  Config config;
  try {
    config = read_document(toml::parse(text), reader);
  } catch (const toml::parse_error& error) {
    throw ConfigError({syntax_problem(text, file_name, error)});
  }
  config.file = file_name;
  std::vector<std::string> problems = reader.problems();
  if (!problems.empty()) throw ConfigError(std::move(problems));
  return config;
}

std::vector<std::string> known_keys() {
  Reader reader("");
  read_document(toml::parse("[[table]]\n[[outbox]]"), reader);
  return reader.keys();
}

}  // namespace connector
