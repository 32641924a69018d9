// The same WAL, told by two: what walferry publishes of a random workload, schema changes within
// and between transactions included, is held change by change against wal2json (another author's
// output plugin, on a slot of its own), and, folded by key, against the tables.
#include <cstdlib>
#include <random>

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
    if (type == "numeric") {
      return std::strtod(textual(ours).c_str(), nullptr) ==
             std::strtod(textual(theirs).c_str(), nullptr);
    }
    std::string text = textual(ours);
    if (type == "timestamp with time zone") {
      text[10] = ' ';
      text.replace(text.size() - 1, 1, "+00");
    }
    return text == textual(theirs);
  }

  void compare_change(const Record& ours, const json& theirs) {
    static const std::map<std::string, std::string> ops = {
        {"I", "insert"}, {"U", "update"}, {"D", "delete"}, {"T", "truncate"}};
    ASSERT_EQ(ours.op, ops.at(theirs["action"].get<std::string>())) << ours.payload << "\n"
                                                                    << theirs;
    ASSERT_EQ(ours.table, theirs["table"].get<std::string>()) << ours.payload << "\n" << theirs;
    EXPECT_EQ(ours.xid, theirs["xid"].get<std::uint32_t>()) << ours.payload << "\n" << theirs;
    std::size_t sent = 0;
    for (const json& column : theirs.value("columns", json::array())) {
      const auto value = ours.after.find(column["name"].get<std::string>());
      ASSERT_NE(value, ours.after.end()) << ours.payload << "\n" << theirs;
      EXPECT_TRUE(same(*value, column["value"], column["type"])) << ours.payload << "\n" << theirs;
      ++sent;
    }
    // What they were not sent, ours has from the old row or lists as unchanged.
    if (ours.after.is_object()) {
      EXPECT_GE(ours.after.size(), sent) << ours.payload << "\n" << theirs;
      for (const std::string& name : ours.unchanged) EXPECT_FALSE(ours.after.contains(name));
    }
    if (ours.op == "delete") {
      for (const json& column : theirs["identity"]) {
        const auto& row = ours.before;
        EXPECT_TRUE(
            same(row.at(column["name"].get<std::string>()), column["value"], column["type"]))
            << ours.payload << "\n"
            << theirs;
      }
    }
  }

  std::vector<json> theirs() {
    std::vector<json> changes;
    PgSession session = postgres_.connect();
    session.exec("SET timezone = 'UTC'");
    for (const auto& row : session.query(
             "SELECT data FROM pg_logical_slot_get_changes('judge', NULL, NULL, 'format-version', "
             "'2', 'include-xids', 'true', 'include-transaction', 'false')")) {
      json change = json::parse(row.at(0).value());
      const std::string action = change["action"];
      if (change["table"] == "w_none" && (action == "U" || action == "D")) continue;
      changes.push_back(std::move(change));
    }
    return changes;
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
  const std::vector<Record> all = records();
  ASSERT_EQ(all.size(), judged.size());
  for (std::size_t i = 0; i < all.size() && !HasFatalFailure(); ++i) {
    compare_change(all[i], judged[i]);
  }
  for (const Table& table : tables_) {
    if (table.keyless) continue;
    exec("SET timezone = 'UTC'");
    Folded rows = rows_of(postgres_, "SELECT json_build_object(" + table.key +
                                         "), to_json(t) FROM " + table.name + " t");
    Folded folded = fold(all, "public", table.name);
    ASSERT_EQ(folded.size(), rows.size()) << table.name;
    for (auto& [name, row] : rows) {
      json& ours = folded[name];
      if (row.contains("n")) {
        EXPECT_EQ(std::stod(textual(ours["n"])), row["n"].get<double>()) << name;
        for (const char* approximate : {"n", "ts"}) ours.erase(approximate), row.erase(approximate);
      }
      EXPECT_EQ(ours, row) << table.name << " " << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Differential, testing::Values(1, 2, 3));

}  // namespace
}  // namespace scenarios
