// One plain connection, for what libpqxx cannot do on every version that is supported: results of
// COPY read row by row, and a statement ended from another thread.
//
// One thread, but for cancel(). Every function throws pg::Error.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "pg/handles.h"

namespace pg {

// Before a transaction that lasts, for the rest of the session (within it, it would take the
// snapshot). Servers before 17 know no such limit, and change nothing.
constexpr const char* no_transaction_timeout =
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
    "WHERE name = 'transaction_timeout'";

class SqlSession {
 public:
  static SqlSession open(const std::string& dsn);

  // `idle` is called once a second while the server is waited for. It may throw: then the session
  // is of no use any more.
  void when_idle(std::function<void()> idle) { idle_ = std::move(idle); }

  // Runs the statements, and returns the last one's result.
  PgResult exec(const std::string& sql);

  // Throws what is wrong with a statement, which must be one alone. Nothing is run.
  void parse(const std::string& sql);

  // COPY … TO STDOUT: begin_copy(), then copied() until there is nothing left. A row keeps its line
  // break, and is valid until the next call.
  void begin_copy(const std::string& sql);
  std::optional<std::string_view> copied();
  // Instead of reading to the end. The transaction is aborted by it.
  void abandon_copy();

  // Ends the statement that runs, with an error. From any thread, as long as this lives.
  void cancel() const noexcept;

 private:
  explicit SqlSession(PgConnection connection);
  [[noreturn]] void fail(const PGresult* result) const;
  PgResult run(const std::string& sql);
  void wait();

  PgConnection connection_;
  std::unique_ptr<PGcancel, Closer<PQfreeCancel>> cancel_;
  CopyBuffer row_;
  std::function<void()> idle_;
};

// A cell of a result, as it is.
std::string_view cell(const PgResult& result, int row, int column);

}  // namespace pg
