// One plain connection to Postgres for a test: SQL in, text out. Not for use by two threads at
// once.
#pragma once

#include <libpq-fe.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace servers {

class SqlError : public std::runtime_error {
 public:
  SqlError(const std::string& message, std::string state)
      : std::runtime_error(message), state_(std::move(state)) {}
  const std::string& state() const { return state_; }  // empty: the connection failed

 private:
  std::string state_;
};

using SqlRow = std::vector<std::optional<std::string>>;
using SqlRows = std::vector<SqlRow>;

class PgSession {
 public:
  explicit PgSession(const std::string& conninfo);  // throws SqlError

  // Several statements in one call are one transaction unless they say otherwise.
  void exec(const std::string& sql);
  SqlRows query(const std::string& sql);
  std::string value(const std::string& sql);  // of the first column of the first row; NULL is ""
  std::string error_state(const std::string& sql);  // "" when it succeeds, else the SQLSTATE
  void copy_in(const std::string& copy_sql, const std::string& data);
  void copy_out(const std::string& copy_sql);  // thrown away as it comes
  // Row by row, so that large results need no memory.
  void for_each(const std::string& sql, const std::function<void(const SqlRow&)>& visit);
  bool alive() const { return PQstatus(connection_.get()) == CONNECTION_OK; }

 private:
  struct Closer {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
    void operator()(PGresult* result) const noexcept { PQclear(result); }
  };
  using Result = std::unique_ptr<PGresult, Closer>;
  Result run(const std::string& sql);
  [[noreturn]] void fail(const PGresult* result, std::string_view sql) const;

  std::unique_ptr<PGconn, Closer> connection_;
};

std::string sql_name(std::string_view name);     // "quoted", for an identifier
std::string sql_literal(std::string_view text);  // 'quoted'

// "16/B374D848" and back.
std::uint64_t parse_lsn(std::string_view text);
std::string lsn_text(std::uint64_t lsn);

}  // namespace servers
