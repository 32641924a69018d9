// The same WAL, told by two: what walferry publishes of a random workload, schema changes within
// and between transactions included, is held change by change against wal2json (another author's
// output plugin, on a slot of its own), and, folded by key, against the tables.
#include <cstdlib>
#include <random>
#include <regex>
#include <set>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

using nlohmann::json;

struct Table {
  std::string name;
  std::string key;                  // its columns as names and values, for the fold
  std::vector<std::string> extras;  // columns that come, go and change
  bool keyless = false;
};

class Differential : public Scenario, public testing::WithParamInterface<int> {
 protected:
  int upto(int bound) { return std::uniform_int_distribution<int>(1, bound)(random_); }
  std::string number(int bound) { return std::to_string(upto(bound)); }
  std::string text() {
    static const std::vector<std::string> words = {"plain", "it''s", "\"q\"", "b\\s", "a\nb",
                                                   "grün",  "",      "{1,2}", "NULL"};
    return "'" + words[static_cast<std::size_t>(upto(9) - 1)] + number(50) + "'";
  }
  std::string document() {
    return "(SELECT string_agg(md5((" + number(1 << 20) +
           " + i)::text), '') FROM generate_series(1, 90) i)";
  }

  void create_tables() {
    create_table("w_pk",
                 "id int PRIMARY KEY, v text, n numeric, doc text, j jsonb, ts timestamptz");
    create_table("w_full", "a int, b text, c text, PRIMARY KEY (a, b)");
    create_table("w_index", "id int NOT NULL, v text, r int4range");
    create_table("w_none", "v text, n bigint");
    exec(
        "ALTER TABLE w_pk ALTER doc SET STORAGE EXTERNAL; ALTER TABLE w_full REPLICA IDENTITY "
        "FULL; "
        "CREATE UNIQUE INDEX w_index_id ON w_index (id); ALTER TABLE w_index REPLICA IDENTITY "
        "USING "
        "INDEX w_index_id");
  }

  // Newer minor releases take only the output plugins that they are told of.
  void allow_wal2json() {
    const std::string setting =
        "SELECT coalesce((SELECT setting FROM pg_settings WHERE name = 'output_plugin_libraries'), "
        "'wal2json')";
    const std::string allowed = postgres_.value(setting);
    if (allowed.find("wal2json") != std::string::npos) return;
    exec("ALTER SYSTEM SET output_plugin_libraries = " + allowed + (allowed.empty() ? "" : ", ") +
         "wal2json");
    exec("SELECT pg_reload_conf()");
    wait_until(
        [&] { return postgres_.connect().value(setting).find("wal2json") != std::string::npos; },
        seconds(30), "wal2json is allowed");
  }

  std::string change(const Table& table) {
    const std::string key = number(60);
    const int kind = upto(20);
    if (table.name == "w_pk") {
      if (kind <= 9) {
        return "INSERT INTO w_pk VALUES (" + key + ", " + text() + ", " + number(9999) + ".50, " +
               (kind <= 4 ? document() : "NULL") + R"(, '{"k": [1, "x"], "z": null}', now()))" +
               " ON CONFLICT (id) DO UPDATE SET n = w_pk.n + 1";
      }
      if (kind <= 14) return "UPDATE w_pk SET v = " + text() + " WHERE id < " + number(8);
      if (kind <= 16) return "UPDATE w_pk SET id = id + 1000 WHERE id = " + key;
      return kind == 20 && upto(6) == 1 ? "TRUNCATE w_pk, w_full"
                                        : "DELETE FROM w_pk WHERE id = " + key;
    }
    if (table.name == "w_full") {
      if (kind <= 10) {
        return "INSERT INTO w_full VALUES (" + key + ", " + text() + ", " +
               (kind <= 3 ? document() : text()) + ") ON CONFLICT DO NOTHING";
      }
      if (kind <= 16) return "UPDATE w_full SET c = " + text() + " WHERE a = " + key;
      return "DELETE FROM w_full WHERE a = " + key;
    }
    if (table.name == "w_index") {
      if (kind <= 12) {
        return "INSERT INTO w_index VALUES (" + key + ", " + text() +
               ", '[1,9)') ON CONFLICT (id) DO UPDATE SET v = " + text();
      }
      return kind <= 15 ? "UPDATE w_index SET id = id + 1000 WHERE id = " + key
                        : "DELETE FROM w_index WHERE id = " + key;
    }
    return kind <= 14 ? "INSERT INTO w_none VALUES (" + text() + ", " + key + ")"
                      : "UPDATE w_none SET n = n + 1 WHERE n = " + key;
  }

  std::string schema_change(Table& table) {
    const int kind = upto(4);
    if (kind == 1 || table.extras.empty()) {
      table.extras.push_back("x" + std::to_string(++columns_));
      return "ALTER TABLE " + table.name + " ADD " + table.extras.back() + " int DEFAULT " +
             number(9);
    }
    std::string& column =
        table.extras[static_cast<std::size_t>(upto(static_cast<int>(table.extras.size())) - 1)];
    const std::string alter = "ALTER TABLE " + table.name + " ";
    if (kind == 2) {
      std::string statement = alter + "DROP " + column;
      table.extras.erase(table.extras.begin() + (&column - table.extras.data()));
      return statement;
    }
    if (kind == 3) {
      const std::string old = std::exchange(column, "x" + std::to_string(++columns_));
      return alter + "RENAME " + old + " TO " + column;
    }
    return alter + "ALTER " + column + " TYPE text";
  }

  void work(int transactions) {
    PgSession session = postgres_.connect();
    for (int t = 0; t < transactions; ++t) {
      session.exec("BEGIN");
      for (int i = upto(8); i > 0; --i) {
        Table& table = tables_[static_cast<std::size_t>(upto(4) - 1)];
        session.exec("SAVEPOINT s");
        const bool fails =
            !session.error_state(upto(12) == 1 ? schema_change(table) : change(table)).empty();
        if (fails || upto(9) == 1) session.exec("ROLLBACK TO s; SELECT 1");
        if (!fails && upto(9) == 1) session.exec("RELEASE s");
      }
      session.exec(upto(12) == 1 ? "ROLLBACK" : "COMMIT");
    }
    // Rolled-back schema changes leave the list of columns behind what is there; rows of the last
    // shape for the fold.
    session.exec(
        "UPDATE w_pk SET id = id; UPDATE w_full SET a = a; UPDATE w_index SET id = id; INSERT INTO "
        "w_none (v) VALUES ('the end')");
  }

  static std::string textual(const json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  }
  static bool same(const json& ours, const json& theirs, const std::string& type) {
    if (ours.is_null() || theirs.is_null()) return ours.is_null() && theirs.is_null();
    if (type == "jsonb") return ours == json::parse(theirs.get<std::string>());
    std::string text = textual(ours);
    if (type == "timestamp with time zone") {
      text[10] = ' ';
      text.replace(text.size() - 1, 1, "+00");
    }
    return text == textual(theirs);
  }
  // Each of their columns is in `row` with their value. Their names.
  static std::set<std::string> expect_in(const json& row, const json& columns) {
    std::set<std::string> names;
    for (const json& column : columns) {
      const std::string name = column["name"];
      names.insert(name);
      const auto value = row.find(name);
      if (value == row.end()) {
        ADD_FAILURE() << name << " is absent";
      } else {
        EXPECT_TRUE(same(*value, column["value"], column["type"])) << name << ": " << *value;
      }
    }
    return names;
  }
  static std::set<std::string> names_of(const json& object) {
    std::set<std::string> names;
    for (const auto& [name, value] : object.items()) names.insert(name);
    return names;
  }

  void compare_change(const Record& ours, const json& theirs, const std::set<std::string>& shape) {
    static const std::map<std::string, std::string> ops = {
        {"I", "insert"}, {"U", "update"}, {"D", "delete"}, {"T", "truncate"}};
    ASSERT_EQ(ours.op, ops.at(theirs["action"].get<std::string>()));
    ASSERT_EQ(ours.table, theirs["table"].get<std::string>());
    EXPECT_EQ(ours.xid, theirs["xid"].get<std::uint32_t>());
    if (ours.op == "insert" || ours.op == "update") {
      compare_new(ours, theirs.value("columns", json::array()), shape);
    } else {
      EXPECT_TRUE(ours.after.is_null());
    }
    if (ours.op == "update" || ours.op == "delete")
      compare_old(ours, theirs.value("identity", json::array()));
  }
  // What they were not sent, ours has from the old row or lists as unchanged.
  static void compare_new(const Record& ours, const json& columns,
                          const std::set<std::string>& shape) {
    const json after = ours.after;
    const json before = ours.before;
    const std::set<std::string> sent = expect_in(after, columns);
    std::set<std::string> known = names_of(after);
    for (const std::string& name : known) {
      if (sent.count(name) > 0) continue;
      EXPECT_TRUE(before.is_object() && before.contains(name) && before.at(name) == after.at(name))
          << name << " is from nowhere";
    }
    for (const std::string& name : ours.unchanged) {
      EXPECT_TRUE(known.insert(name).second) << name << " is there, and unchanged";
    }
    EXPECT_EQ(known, shape);
    if (ours.op == "insert") {
      EXPECT_EQ(sent, shape);
      EXPECT_TRUE(ours.unchanged.empty());
    }
    const json key = ours.key;
    for (const auto& [name, value] : key.items()) EXPECT_EQ(after.at(name), value) << name;
  }
  // Their identity is the old key, or all of the old row that is not NULL, where that was sent;
  // else the key, which then has not changed.
  static void compare_old(const Record& ours, const json& identity) {
    EXPECT_FALSE(identity.empty());
    const bool sent = ours.before.is_object();
    const json row = sent ? ours.before : ours.key;
    const std::set<std::string> told = expect_in(row, identity);
    for (const auto& [name, value] : row.items()) {
      EXPECT_TRUE(told.count(name) > 0 || value.is_null()) << name << " is from nowhere";
    }
    EXPECT_TRUE(sent || ours.op == "update");
    if (ours.op != "delete") return;
    const json key = ours.key;
    for (const auto& [name, value] : key.items()) EXPECT_EQ(row.at(name), value) << name;
  }

  // Numbers with a point as strings: a double would not tell 1.5 from 1.50.
  static json parse_exactly(const std::string& data) {
    static const std::regex number(R"re("type":"numeric[^"]*","value":(-?[0-9.]+))re");
    std::string exact;
    auto rest = data.cbegin();
    for (std::smatch found; std::regex_search(rest, data.cend(), found, number);) {
      exact.append(rest, found[1].first).append("\"").append(found[1].str()).append("\"");
      rest = found[1].second;
    }
    return json::parse(exact.append(rest, data.cend()));
  }
  // The stream's changes, each with the columns that were last announced of its table.
  std::vector<std::pair<Record, std::set<std::string>>> ours() {
    std::map<std::string, std::set<std::string>> shapes;
    std::vector<std::pair<Record, std::set<std::string>>> changes;
    for (const Stored& stored : js().read("CDC")) {
      if (is_schema_record(stored)) {
        const SchemaRecord announced = parse_schema_record(stored);
        std::set<std::string>& shape =
            shapes[announced.subject.substr(announced.subject.rfind('.') + 1)];
        shape.clear();
        for (const auto& column : announced.json["columns"]) shape.insert(column["name"]);
      } else {
        Record record = parse_record(stored);
        changes.emplace_back(record, shapes[record.table]);
      }
    }
    return changes;
  }

  std::vector<json> theirs() {
    std::vector<json> changes;
    PgSession session = postgres_.connect();
    session.exec("SET timezone = 'UTC'");
    for (const auto& row : session.query(
             "SELECT data FROM pg_logical_slot_get_changes('judge', NULL, NULL, 'format-version', "
             "'2', 'include-xids', 'true', 'include-transaction', 'false')")) {
      json change = parse_exactly(row.at(0).value());
      const std::string action = change["action"];
      if (change["table"] == "w_none" && (action == "U" || action == "D")) continue;
      changes.push_back(std::move(change));
    }
    return changes;
  }

  void expect_folds_to_tables() {
    const std::vector<Record> all = records();
    for (const Table& table : tables_) {
      if (table.keyless) continue;
      // As records have them, where to_jsonb has not.
      const std::string as_recorded =
          table.name != "w_pk" ? ""
                               : " || jsonb_build_object('n', n::text, 'ts', replace((ts AT TIME "
                                 "ZONE 'UTC')::text, ' ', 'T') || 'Z')";
      const Folded rows =
          rows_of(postgres_, "SELECT json_build_object(" + table.key + "), to_jsonb(t)" +
                                 as_recorded + " FROM " + table.name + " t");
      const Folded folded = fold(all, "public", table.name);
      ASSERT_EQ(folded.size(), rows.size()) << table.name;
      for (const auto& [name, row] : rows) {
        EXPECT_EQ(folded.at(name), row) << table.name << " " << name;
      }
    }
  }

  std::mt19937 random_{static_cast<std::uint32_t>(GetParam())};
  int columns_ = 0;
  std::vector<Table> tables_ = {{.name = "w_pk", .key = "'id', id", .extras = {}},
                                {.name = "w_full", .key = "'a', a, 'b', b", .extras = {}},
                                {.name = "w_index", .key = "'id', id", .extras = {}},
                                {.name = "w_none", .key = "", .extras = {}, .keyless = true}};
};

TEST_P(Differential, TellsWhatWal2jsonTellsAndFoldsToTheTables) {
  create_tables();
  allow_wal2json();
  exec("SELECT pg_create_logical_replication_slot('judge', 'wal2json')");
  start();
  work(std::getenv("WALFERRY_TEST_LONG") != nullptr ? 2000 : 150);
  const std::vector<json> judged = theirs();
  ASSERT_GT(judged.size(), 100U);
  wait_stored(judged.size());
  walferry_.stop();
  EXPECT_GT(js().count("CDC", "cdc._schema.>"), 8U) << "schemas changed on the way";
  const auto all = ours();
  ASSERT_EQ(all.size(), judged.size());
  for (std::size_t i = 0; i < all.size() && !HasFailure(); ++i) {
    SCOPED_TRACE(all[i].first.payload + "\n" + judged[i].dump());
    compare_change(all[i].first, judged[i], all[i].second);
  }
  expect_folds_to_tables();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Differential, testing::Values(1, 2, 3));

}  // namespace
}  // namespace scenarios
