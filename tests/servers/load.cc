// The random application. Keys come from a small range, so that updates and deletes hit, writers
// wait for each other's rows, and unique violations abort some transactions.
#include "tests/servers/load.h"

#include <iostream>
#include <memory>

namespace servers {
namespace {

constexpr int keys = 400;

int upto(std::mt19937& random, int bound) {
  return std::uniform_int_distribution<int>(1, bound)(random);
}

std::string text(std::mt19937& random, int longest) {
  static const std::vector<std::string> words = {
      "plain", "it's", "\"quoted\"", "back\\slash", "tab\there", "line\nbreak", "grün", "日本", ""};
  std::string result = words[static_cast<std::size_t>(upto(random, 9) - 1)];
  result.append(static_cast<std::size_t>(upto(random, longest)), 'x');
  return sql_literal(result);
}

// 3 kB that do not compress, so that they live in TOAST and are left unchanged by most updates.
std::string document(std::mt19937& random) {
  return "(SELECT string_agg(md5((" + std::to_string(upto(random, 1 << 30)) +
         " + i)::text), '') FROM generate_series(1, 100) i)";
}

std::string change_of_a(std::mt19937& random) {
  const std::string key = std::to_string(upto(random, keys));
  switch (upto(random, 5)) {
    case 1:
    case 2:
      return "INSERT INTO load_a VALUES (" + key + ", " + text(random, 40) + ", " +
             std::to_string(upto(random, 100000)) +
             ".50, NULL) ON CONFLICT (id) DO UPDATE SET n = "
             "coalesce(load_a.n, 0) + 1";
    case 3:
      return "UPDATE load_a SET v = " + text(random, 40) +
             ", amount = amount + 0.01 WHERE id = " + key;
    case 4: return "UPDATE load_a SET id = id + 1000000 WHERE id = " + key;
    default: return "DELETE FROM load_a WHERE id = " + key + " OR id = 1000000 + " + key;
  }
}

std::string change_of_b(std::mt19937& random) {
  const std::string k1 = std::to_string(upto(random, 20));
  const std::string k2 = "'k" + std::to_string(upto(random, 10)) + "'";
  switch (upto(random, 3)) {
    case 1:
      return "INSERT INTO load_b VALUES (" + k1 + ", " + k2 + ", " + text(random, 10) +
             ") ON CONFLICT DO NOTHING";
    case 2: return "UPDATE load_b SET v = " + text(random, 10) + " WHERE k1 = " + k1;
    default: return "DELETE FROM load_b WHERE k1 = " + k1 + " AND k2 = " + k2;
  }
}

std::string change_of_c(std::mt19937& random) {
  const std::string key = std::to_string(upto(random, 60));
  switch (upto(random, 3)) {
    case 1:
      return "INSERT INTO load_c VALUES (" + key + ", 0, " + document(random) +
             ") ON CONFLICT (id) DO UPDATE SET n = load_c.n + 1";
    case 2: return "UPDATE load_c SET n = n + 1 WHERE id = " + key;
    default: return "DELETE FROM load_c WHERE id = " + key;
  }
}

std::string change_of_d(std::mt19937& random) {
  const std::string first = std::to_string(upto(random, 1 << 28));
  return "INSERT INTO load_d SELECT i, " + text(random, 20) + " FROM generate_series(" + first +
         ", " + first + " + " + std::to_string(upto(random, 40)) + ") i ON CONFLICT DO NOTHING";
}

std::string any_change(std::mt19937& random) {
  switch (upto(random, 6)) {
    case 1:
    case 2:
    case 3: return change_of_a(random);
    case 4: return change_of_b(random);
    case 5: return change_of_c(random);
    default: return change_of_d(random);
  }
}

}  // namespace

void Load::create_tables(PgSession& session) {
  session.exec(
      "CREATE TABLE load_a (id bigint PRIMARY KEY, v text, amount numeric(12,2), n int);"
      "CREATE TABLE load_b (k1 int, k2 text, v text, PRIMARY KEY (k1, k2));"
      "CREATE TABLE load_c (id int PRIMARY KEY, n int, doc text);"
      "ALTER TABLE load_c ALTER doc SET STORAGE EXTERNAL;"
      "CREATE TABLE load_d (id bigint PRIMARY KEY, v text)");
}

const std::vector<std::string>& Load::tables() {
  static const std::vector<std::string> names = {"public.load_a", "public.load_b", "public.load_c",
                                                 "public.load_d"};
  return names;
}

std::string Load::select_rows(const std::string& table) {
  const std::string key =
      table == "load_b" ? "json_build_object('k1', k1, 'k2', k2)" : "json_build_object('id', id)";
  const std::string row =
      table == "load_a" ? "json_build_object('id', id, 'v', v, 'amount', amount::text, 'n', n)"
                        : "row_to_json(t)";
  return "SELECT " + key + ", " + row + " FROM " + table + " t";
}

Load::Load(std::string conninfo, LoadOptions options)
    : conninfo_(std::move(conninfo)), options_(options) {
  if (options_.seed == 0) {
    options_.seed = std::random_device()();
  }
  std::cout << "load with seed " << options_.seed << std::endl;
  for (int i = 0; i < options_.writers; ++i) {
    writers_.emplace_back([this, i] { write(options_.seed + static_cast<unsigned>(i)); });
  }
}

Load::~Load() { stop(); }

void Load::stop() {
  stop_.store(true);
  for (auto& writer : writers_) {
    if (writer.joinable()) {
      writer.join();
    }
  }
}

void Load::wait_for_more(std::uint64_t transactions, Milliseconds deadline) {
  const std::uint64_t goal = transactions_.load() + transactions;
  wait_until([&] { return transactions_.load() >= goal; }, deadline,
             "more transactions of the load");
}

void Load::write(unsigned seed) {
  std::mt19937 random(seed);
  std::unique_ptr<PgSession> session;
  while (!stop_.load()) {
    try {
      if (session == nullptr) {
        session = std::make_unique<PgSession>(conninfo_);
      }
      one_transaction(*session, random);
      transactions_.fetch_add(1);
    } catch (const SqlError&) {
      session.reset();  // a violation, a deadlock, a restart: begin anew
    }
    let_pass(options_.pause);
  }
}

void Load::one_transaction(PgSession& session, std::mt19937& random) {
  const int shape = upto(random, 20);
  if (shape <= 8) {
    session.exec(any_change(random));  // autocommit
    return;
  }
  if (shape == 9 && options_.truncates) {
    session.exec("TRUNCATE load_d");
    return;
  }
  session.exec("BEGIN");
  const int changes = shape == 10 ? 60 : upto(random, 6);
  for (int i = 0; i < changes; ++i) {
    session.exec(any_change(random));
  }
  if (shape == 11) {
    session.exec("ROLLBACK");
    return;
  }
  if (shape <= 14) {
    session.exec("SAVEPOINT s");
    session.exec(any_change(random));
    session.exec(shape == 12 ? "RELEASE s" : "ROLLBACK TO s");
    session.exec(any_change(random));
  }
  session.exec("COMMIT");
}

}  // namespace servers
