#include "pg/replication.h"

#include <fmt/format.h>
#include <poll.h>

#include <charconv>
#include <chrono>

#include "pg/byte_reader.h"
#include "pg/connect.h"
#include "pg/conninfo.h"
#include "pg/error.h"

namespace pg {
namespace {

std::string quote_identifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::string quote_literal(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') quoted += '\'';
    quoted += c;
  }
  return quoted + '\'';
}

Timestamp now() {
  constexpr std::int64_t unix_to_postgres_epoch = 946'684'800'000'000;
  const auto since_unix = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::microseconds>(since_unix).count() -
          unix_to_postgres_epoch};
}

void put_uint64(char*& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) *out++ = static_cast<char>(value >> shift);
}

Lsn lsn_or_throw(std::string_view text) {
  const auto lsn = parse_lsn(text);
  if (!lsn) throw ProtocolError(fmt::format("'{}' is not an LSN", text));
  return *lsn;
}

template <class T>
std::optional<T> number(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Arrival parse_arrival(std::string_view bytes) {
  ByteReader in(bytes);
  const char kind = in.tag();
  if (kind == 'w') {
    WalData data;
    data.lsn = Lsn(in.read<std::uint64_t>());
    in.bytes(16);  // the server's WAL end (the same LSN again) and its clock
    data.message = in.bytes(in.remaining());
    return data;
  }
  if (kind == 'k') {
    Keepalive keepalive;
    keepalive.wal_end = Lsn(in.read<std::uint64_t>());
    in.bytes(8);  // the server's clock
    keepalive.reply_requested = in.read<std::uint8_t>() != 0;
    return keepalive;
  }
  throw ProtocolError(fmt::format("unknown replication message '{}'", kind));
}

}  // namespace

ReplicationStream ReplicationStream::open(const std::string& dsn) {
  return ReplicationStream(connect(connect_params(dsn, Session::replication)));
}

SystemIdentity ReplicationStream::identify() {
  const PgResult result = command("IDENTIFY_SYSTEM", PGRES_TUPLES_OK);
  SystemIdentity identity;
  identity.system_id = PQgetvalue(result.get(), 0, 0);
  const auto timeline = number<std::uint32_t>(PQgetvalue(result.get(), 0, 1));
  if (!timeline) throw ProtocolError("IDENTIFY_SYSTEM names no timeline");
  identity.timeline = Timeline(*timeline);
  identity.wal_flushed = lsn_or_throw(PQgetvalue(result.get(), 0, 2));
  return identity;
}

std::optional<Lsn> ReplicationStream::fork_of(Timeline timeline, Timeline present) {
  if (present.value <= 1) return std::nullopt;  // the first timeline has no ancestors, no history
  const PgResult result =
      command(fmt::format("TIMELINE_HISTORY {}", present.value), PGRES_TUPLES_OK);
  // One line for each ancestor: its number, the LSN where it ended, a reason; parted by tabs.
  std::string_view history(PQgetvalue(result.get(), 0, 1),
                           static_cast<std::size_t>(PQgetlength(result.get(), 0, 1)));
  while (!history.empty()) {
    const std::string_view line = history.substr(0, history.find('\n'));
    history.remove_prefix(std::min(history.size(), line.size() + 1));
    const auto first = line.find('\t');
    if (first == std::string_view::npos) continue;  // empty lines and comments are allowed
    if (number<std::uint32_t>(line.substr(0, first)) != timeline.value) continue;
    const std::string_view rest = line.substr(first + 1);
    return lsn_or_throw(rest.substr(0, rest.find('\t')));
  }
  return std::nullopt;
}

Lsn ReplicationStream::create_slot(const std::string& slot) {
  const PgResult result =
      command(fmt::format("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput NOEXPORT_SNAPSHOT",
                          quote_identifier(slot)),
              PGRES_TUPLES_OK);
  return lsn_or_throw(PQgetvalue(result.get(), 0, 1));
}

Lsn ReplicationStream::copy_temporarily(const std::string& from, const std::string& to) {
  const PgResult copied =
      command(fmt::format("SELECT pg_copy_logical_replication_slot({}, {}, true)",
                          quote_literal(from), quote_literal(to)),
              PGRES_TUPLES_OK);
  const PgResult place = command(
      fmt::format("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = {}",
                  quote_literal(to)),
      PGRES_TUPLES_OK);
  if (PQntuples(place.get()) != 1) throw ProtocolError("a copied slot is not there");
  return lsn_or_throw(PQgetvalue(place.get(), 0, 0));
}

void ReplicationStream::start(const std::string& slot, Lsn from,
                              std::span<const std::string> publications, bool streaming) {
  std::string names;
  for (const auto& publication : publications) {
    if (!names.empty()) names += ',';
    names += quote_identifier(publication);
  }
  command(fmt::format("START_REPLICATION SLOT {} LOGICAL {} (proto_version {}, "
                      "publication_names {}, messages 'true')",
                      quote_identifier(slot), to_string(from),
                      streaming ? "'2', streaming 'on'" : "'1'", quote_literal(names)),
          PGRES_COPY_BOTH);
  if (PQsetnonblocking(connection_.get(), 1) != 0) fail("going non-blocking", nullptr);
}

Arrival ReplicationStream::next() {
  char* buffer = nullptr;
  int length = PQgetCopyData(connection_.get(), &buffer, 1);
  if (length == 0) {
    if (PQconsumeInput(connection_.get()) == 0) fail("reading the slot", nullptr);
    length = PQgetCopyData(connection_.get(), &buffer, 1);
  }
  received_.reset(buffer);
  if (length == 0) return NothingYet{};
  if (length > 0) return parse_arrival({buffer, static_cast<std::size_t>(length)});
  // -1: the server ended the stream; the result that follows says why.
  const PgResult result(PQgetResult(connection_.get()));
  fail("reading the slot", result.get());
}

void ReplicationStream::send_status(Lsn received, std::optional<SafeLsn> safe, bool request_reply) {
  char message[1 + 8 * 4 + 1];
  char* out = message;
  *out++ = 'r';
  put_uint64(out, received.value);
  put_uint64(out, safe ? safe->lsn().value : 0);  // flushed
  put_uint64(out, safe ? safe->lsn().value : 0);  // applied
  put_uint64(out, static_cast<std::uint64_t>(now().micros));
  *out++ = request_reply ? 1 : 0;
  if (PQputCopyData(connection_.get(), message, sizeof message) < 0) {
    fail("sending a status update", nullptr);
  }
  flush();
}

bool ReplicationStream::flush() {
  const int left = PQflush(connection_.get());
  if (left < 0) fail("sending a status update", nullptr);
  return left == 0;
}

void ReplicationStream::finish(std::chrono::steady_clock::time_point deadline) noexcept {
  PGconn* connection = connection_.get();
  if (PQputCopyEnd(connection, nullptr) < 0) return;
  while (true) {
    const int unsent = PQflush(connection);
    char* buffer = nullptr;
    const int length = PQgetCopyData(connection, &buffer, 1);
    received_.reset(buffer);
    if (unsent < 0 || length < 0) return;
    if (length > 0) continue;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{.fd = socket(),
                   .events = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN),
                   .revents = 0};
    if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return;
    if (PQconsumeInput(connection) == 0) return;
  }
}

PgResult ReplicationStream::command(const std::string& sql, ExecStatusType expected) {
  PgResult result(PQexec(connection_.get(), sql.c_str()));
  if (PQresultStatus(result.get()) != expected) fail(sql, result.get());
  return result;
}

void ReplicationStream::fail(const std::string& doing, const PGresult* result) const {
  const char* state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : nullptr;
  std::string what = result ? trimmed(PQresultErrorMessage(result)) : "";
  if (what.empty()) what = trimmed(PQerrorMessage(connection_.get()));
  if (what.empty()) what = "the server ended the stream";
  throw Error(fmt::format("PostgreSQL, {}: {}", doing, what), state ? state : "");
}

}  // namespace pg
