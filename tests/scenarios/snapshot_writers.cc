#include "tests/scenarios/snapshot_writers.h"

#include <iostream>
#include <memory>

namespace scenarios {
namespace {

using servers::PgSession;

int upto(std::mt19937& random, int bound) {
  return std::uniform_int_distribution<int>(1, bound)(random);
}

std::string series(int rows) { return " FROM generate_series(1, " + std::to_string(rows) + ") i"; }

// A country and a name of row i, of few countries; a language sorts them in an order of its own.
std::string name_of(const std::string& i) {
  return "(ARRAY['', 'A', 'a', 'Ä', 'z', 'Öst', 'ost', 'ß'])[1 + " + i +
         " % 8], (ARRAY['n', 'N', 'ñ', 'é-', 'e'''])[1 + " + i + " % 5] || " + i;
}

}  // namespace

std::string sql_to_fill_big(int rows) {
  return "INSERT INTO big SELECT i, 'row ' || i, 0" + series(rows) + ";";
}
std::string sql_to_fill_names(int rows) {
  return "INSERT INTO names SELECT " + name_of("i") + ", 'row'" + series(rows) + ";";
}
std::string sql_to_fill_docs(int rows) {
  return "INSERT INTO docs SELECT i, 0, repeat(md5(i::text), 100)" + series(rows) + ";";
}
std::string sql_to_fill_heap(int rows) {
  return "INSERT INTO heap SELECT i % 700, 'row'" + series(rows) + ";";
}

SnapshotWriters::SnapshotWriters(std::string conninfo, TableSizes sizes, Options options)
    : conninfo_(std::move(conninfo)), sizes_(sizes), options_(std::move(options)) {
  const unsigned seed = std::random_device()();
  std::cout << "writers with seed " << seed << std::endl;
  for (int i = 0; i < options_.writers; ++i) {
    threads_.emplace_back([this, seed, i] { write(seed + static_cast<unsigned>(i)); });
  }
}

void SnapshotWriters::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void SnapshotWriters::write(unsigned seed) {
  std::mt19937 random(seed);
  std::unique_ptr<PgSession> session;
  while (!stop_) {
    try {
      if (session == nullptr) {
        session = std::make_unique<PgSession>(conninfo_);
        session->exec("SET application_name = 'writer'; " + options_.session);
      }
      session->exec("BEGIN");
      for (int changes = upto(random, 4); changes > 0; --changes) session->exec(change(random));
      session->exec(upto(random, 10) == 1 ? "ROLLBACK" : "COMMIT");
      if (options_.truncates && upto(random, 150) == 1) session->exec(truncate(random));
      ++transactions_;
    } catch (const servers::SqlError&) {
      session.reset();  // a deadlock, two rows of one key
    }
    servers::let_pass(options_.pause);
  }
}

std::string SnapshotWriters::change(std::mt19937& random) const {
  switch (upto(random, 6)) {
    case 1:
    case 2: return change_of_big(random);
    case 3: return change_of_names(random);
    case 4: return change_of_heap(random);
    default: return change_of_docs(random);
  }
}

// Keys do not change: a row that was read under two keys would look as if it was read again.
std::string SnapshotWriters::change_of_big(std::mt19937& random) const {
  const std::string id = std::to_string(upto(random, sizes_.big + sizes_.big / 20));
  switch (upto(random, 4)) {
    case 1: return "DELETE FROM big WHERE id = " + id;
    case 2:
      return "INSERT INTO big VALUES (" + id +
             ", 'new', 0) ON CONFLICT (id) DO UPDATE SET n = big.n + 1";
    default: return "UPDATE big SET n = n + 1, v = v || '!' WHERE id = " + id;
  }
}

std::string SnapshotWriters::change_of_names(std::mt19937& random) const {
  const std::string row = std::to_string(upto(random, sizes_.names + sizes_.names / 20));
  const std::string is_it = " WHERE (country, name) = (" + name_of(row) + ")";
  switch (upto(random, 6)) {
    case 1: return "DELETE FROM names" + is_it;
    case 2: return "INSERT INTO names VALUES (" + name_of(row) + ", 'new') ON CONFLICT DO NOTHING";
    case 3:
      return "UPDATE names SET (country, name) = (SELECT " +
             name_of(std::to_string(upto(random, sizes_.names + sizes_.names / 20))) + ")" + is_it;
    default: return "UPDATE names SET v = v || '!'" + is_it;
  }
}

// Most leave the document as it is, and so do not have it.
std::string SnapshotWriters::change_of_docs(std::mt19937& random) const {
  const std::string id = std::to_string(upto(random, sizes_.docs + sizes_.docs / 20));
  switch (upto(random, 8)) {
    case 1: return "DELETE FROM docs WHERE id = " + id;
    case 2:
      return "INSERT INTO docs VALUES (" + id +
             ", 0, repeat(md5(random()::text), 90)) "
             "ON CONFLICT (id) DO UPDATE SET n = docs.n + 1";
    case 3: return "UPDATE docs SET doc = repeat(md5(random()::text), 110) WHERE id = " + id;
    default: return "UPDATE docs SET n = n + 1 WHERE id = " + id;
  }
}

std::string SnapshotWriters::change_of_heap(std::mt19937& random) const {
  const std::string one = " WHERE ctid = (SELECT ctid FROM heap LIMIT 1)";
  switch (upto(random, 3)) {
    case 1: return "DELETE FROM heap" + one;
    case 2: return "UPDATE heap SET v = v || '!'" + one;
    default: return "INSERT INTO heap VALUES (" + std::to_string(upto(random, 700)) + ", 'row')";
  }
}

std::string SnapshotWriters::truncate(std::mt19937& random) const {
  switch (upto(random, 3)) {
    case 1: return "TRUNCATE names; " + sql_to_fill_names(sizes_.names / 2);
    case 2: return "TRUNCATE docs; " + sql_to_fill_docs(sizes_.docs / 2);
    default: return "TRUNCATE heap; " + sql_to_fill_heap(sizes_.heap / 2);
  }
}

}  // namespace scenarios
