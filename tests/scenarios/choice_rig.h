// For scenarios that publish a part of a table: what the application does to it must work as ever,
// and a record of another table tells when all of it has been read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/scenarios/rig.h"

namespace scenarios {

class ChoiceScenario : public Scenario {
 protected:
  explicit ChoiceScenario(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {}
  void SetUp() override { create_table("done", "id int PRIMARY KEY"); }
  // A [[table]] public.{name} with these lines of TOML.
  void choose(const std::string& name, const std::string& lines) {
    settings().table("public." + name, "snapshot = \"never\"\n" + lines);
  }
  void choose_anew(const std::string& name, const std::string& lines) {
    settings().no_tables().table("public.done");
    choose(name, lines);
  }
  // Each statement alone, as an application does; none may fail.
  void expect_writes(const std::vector<std::string>& statements) {
    for (const std::string& sql : statements) EXPECT_NO_THROW(exec(sql)) << sql;
  }
  // All records of the table, once all that is committed has been published. Walferry is stopped.
  std::vector<Record> finish(const std::string& table) {
    wait_done();
    walferry_.stop();
    std::vector<Record> found;
    for (Record& record : records()) {
      if (record.table == table) found.push_back(std::move(record));
    }
    return found;
  }
  void wait_done() {
    exec("INSERT INTO done VALUES (" + std::to_string(++done_) + ")");
    wait_until(
        [&] {
          if (!walferry_.running()) throw std::runtime_error("walferry has ended");
          const auto all = records();
          return !all.empty() && all.back().table == "done" && all.back().after["id"] == done_;
        },
        seconds(60), "all is published");
  }
  static std::string ops_of(const std::vector<Record>& records) {
    std::string ops;
    for (const Record& record : records) ops += (ops.empty() ? "" : " ") + record.op;
    return ops;
  }
  // Columns and filter that the publications have of the table: "walferry (id,v) (id > 5)".
  std::string published(const std::string& table) {
    return postgres_.value(
        "SELECT string_agg(p.pubname || coalesce(' (' || (SELECT string_agg(a.attname, ',' ORDER "
        "BY "
        "a.attnum) FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY "
        "(r.prattrs::int2[])) || ')', '') || coalesce(' ' || pg_get_expr(r.prqual, r.prrelid), "
        "''), "
        "'; ') FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
        "WHERE r.prrelid = " +
        sql_literal("public." + sql_name(table)) + "::regclass");
  }
  std::string warnings() { return lines_saying(walferry_.log(), "Z warn"); }

  int done_ = 0;
};

}  // namespace scenarios
