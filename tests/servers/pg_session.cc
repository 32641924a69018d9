// libpq, as little of it as tests need.
#include "tests/servers/pg_session.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace servers {
namespace {

SqlRow row_of(const PGresult* result, int row) {
  SqlRow fields;
  const int columns = PQnfields(result);
  fields.reserve(static_cast<std::size_t>(columns));
  for (int column = 0; column < columns; ++column) {
    if (PQgetisnull(result, row, column) != 0) {
      fields.emplace_back(std::nullopt);
    } else {
      fields.emplace_back(std::string(PQgetvalue(result, row, column),
                                      static_cast<std::size_t>(PQgetlength(result, row, column))));
    }
  }
  return fields;
}

std::string quoted(std::string_view text, char quote) {
  std::string result(1, quote);
  for (const char c : text) {
    result += c;
    if (c == quote) {
      result += c;
    }
  }
  return result + quote;
}

}  // namespace

PgSession::PgSession(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str())) {
  if (!alive()) {
    throw SqlError(PQerrorMessage(connection_.get()), "");
  }
  PQsetNoticeProcessor(
      connection_.get(), [](void*, const char*) {}, nullptr);
}

void PgSession::fail(const PGresult* result, std::string_view sql) const {
  const char* state = result == nullptr ? nullptr : PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message =
      result == nullptr ? PQerrorMessage(connection_.get()) : PQresultErrorMessage(result);
  throw SqlError(std::string(message) + " in: " + std::string(sql.substr(0, 200)),
                 state == nullptr || !alive() ? "" : state);
}

PgSession::Result PgSession::run(const std::string& sql) {
  Result result(PQexec(connection_.get(), sql.c_str()));
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_COPY_IN &&
      status != PGRES_COPY_OUT) {
    fail(result.get(), sql);
  }
  return result;
}

void PgSession::exec(const std::string& sql) { run(sql); }

SqlRows PgSession::query(const std::string& sql) {
  const Result result = run(sql);
  SqlRows rows;
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    rows.push_back(row_of(result.get(), row));
  }
  return rows;
}

std::string PgSession::value(const std::string& sql) {
  const SqlRows rows = query(sql);
  return rows.empty() ? std::string() : rows.front().front().value_or("");
}

std::string PgSession::error_state(const std::string& sql) {
  try {
    exec(sql);
  } catch (const SqlError& error) {
    if (error.state().empty()) {
      throw;
    }
    return error.state();
  }
  return "";
}

void PgSession::copy_in(const std::string& copy_sql, const std::string& data) {
  run(copy_sql);
  if (PQputCopyData(connection_.get(), data.data(), static_cast<int>(data.size())) != 1 ||
      PQputCopyEnd(connection_.get(), nullptr) != 1) {
    fail(nullptr, copy_sql);
  }
  while (const Result result{PQgetResult(connection_.get())}) {
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) {
      fail(result.get(), copy_sql);
    }
  }
}

void PgSession::copy_out(const std::string& copy_sql) {
  run(copy_sql);
  char* data = nullptr;
  while (PQgetCopyData(connection_.get(), &data, 0) > 0) PQfreemem(data);
  while (const Result result{PQgetResult(connection_.get())}) {
    if (PQresultStatus(result.get()) != PGRES_COMMAND_OK) fail(result.get(), copy_sql);
  }
}

void PgSession::for_each(const std::string& sql, const std::function<void(const SqlRow&)>& visit) {
  if (PQsendQuery(connection_.get(), sql.c_str()) != 1 ||
      PQsetSingleRowMode(connection_.get()) != 1) {
    fail(nullptr, sql);
  }
  while (const Result result{PQgetResult(connection_.get())}) {
    const auto status = PQresultStatus(result.get());
    if (status == PGRES_SINGLE_TUPLE) {
      visit(row_of(result.get(), 0));
    } else if (status != PGRES_TUPLES_OK) {
      fail(result.get(), sql);
    }
  }
}

std::string sql_name(std::string_view name) { return quoted(name, '"'); }
std::string sql_literal(std::string_view text) { return quoted(text, '\''); }

std::uint64_t parse_lsn(std::string_view text) {
  const auto slash = text.find('/');
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  if (slash == std::string_view::npos) {
    throw std::runtime_error("not an LSN: " + std::string(text));
  }
  const auto first = std::from_chars(text.data(), text.data() + slash, high, 16);
  const auto second = std::from_chars(text.data() + slash + 1, text.data() + text.size(), low, 16);
  if (first.ec != std::errc() || second.ec != std::errc() ||
      second.ptr != text.data() + text.size()) {
    throw std::runtime_error("not an LSN: " + std::string(text));
  }
  return high << 32 | low;
}

std::string lsn_text(std::uint64_t lsn) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%llX/%llX", static_cast<unsigned long long>(lsn >> 32),
                static_cast<unsigned long long>(lsn & 0xFFFFFFFFU));
  return text.data();
}

}  // namespace servers
