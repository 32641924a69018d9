#include "pg/sql_session.h"

#include <poll.h>

#include <array>

#include "pg/connect.h"
#include "pg/conninfo.h"
#include "pg/error.h"

namespace pg {

SqlSession SqlSession::open(const std::string& dsn) {
  return SqlSession(connect(connect_params(dsn, Session::sql)));
}

SqlSession::SqlSession(PgConnection connection)
    : connection_(std::move(connection)), cancel_(PQgetCancel(connection_.get())) {}

// The last result, or the first that begins a COPY.
PgResult SqlSession::run(const std::string& sql) {
  if (PQsendQuery(connection_.get(), sql.c_str()) != 1) fail(nullptr);
  PgResult last;
  while (true) {
    while (PQisBusy(connection_.get()) != 0) wait();
    PgResult result(PQgetResult(connection_.get()));
    if (!result) return last;
    last = std::move(result);
    if (PQresultStatus(last.get()) == PGRES_COPY_OUT) return last;
  }
}

// Until something has come in.
void SqlSession::wait() {
  constexpr int second = 1000;
  pollfd waiting{.fd = PQsocket(connection_.get()), .events = POLLIN, .revents = 0};
  while (poll(&waiting, 1, idle_ ? second : -1) <= 0) {
    if (idle_) idle_();
  }
  if (PQconsumeInput(connection_.get()) != 1) fail(nullptr);
}

PgResult SqlSession::exec(const std::string& sql) {
  PgResult result = run(sql);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail(result.get());
  return result;
}

void SqlSession::parse(const std::string& sql) {
  const PgResult result(PQprepare(connection_.get(), "", sql.c_str(), 0, nullptr));
  if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail(result.get());
}

void SqlSession::begin_copy(const std::string& sql) {
  const PgResult result = run(sql);
  if (PQresultStatus(result.get()) != PGRES_COPY_OUT) fail(result.get());
}

std::optional<std::string_view> SqlSession::copied() {
  char* buffer = nullptr;
  int length = 0;
  while ((length = PQgetCopyData(connection_.get(), &buffer, 1)) == 0) wait();
  row_.reset(buffer);
  if (length > 0) return std::string_view(buffer, static_cast<std::size_t>(length));
  if (length < -1) fail(nullptr);
  while (const PgResult result{PQgetResult(connection_.get())}) {
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      const std::string why = trimmed(PQresultErrorMessage(result.get()));
      const char* state = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      while (PgResult(PQgetResult(connection_.get()))) {
      }
      throw Error("PostgreSQL: " + why, state == nullptr ? "" : state);
    }
  }
  return std::nullopt;
}

void SqlSession::abandon_copy() {
  cancel();
  try {
    while (copied()) {
    }
  } catch (const Error& error) {
    constexpr const char* query_canceled = "57014";
    if (error.sqlstate() != query_canceled) throw;
  }
}

void SqlSession::cancel() const noexcept {
  std::array<char, 256> why{};
  PQcancel(cancel_.get(), why.data(), static_cast<int>(why.size()));
}

void SqlSession::fail(const PGresult* result) const {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  throw Error("PostgreSQL: " + trimmed(PQerrorMessage(connection_.get())),
              state == nullptr ? "" : state);
}

std::string_view cell(const PgResult& result, int row, int column) {
  return {PQgetvalue(result.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result.get(), row, column))};
}

}  // namespace pg
