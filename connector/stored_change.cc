#include "connector/stored_change.h"

#include <charconv>

#include "connector/json_members.h"
#include "connector/message_position.h"

namespace connector {
namespace {

using Kind = StoredChange::Kind;

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view unless_null(std::string_view value) {
  return value == "null" ? std::string_view() : value;
}

std::string_view bare(std::string_view text) {
  return text.size() < 2 ? text : text.substr(1, text.size() - 2);
}

std::optional<Kind> kind_of(std::string_view op) {
  if (op == "\"insert\"" || op == "\"c\"") return Kind::insert;
  if (op == "\"update\"" || op == "\"u\"") return Kind::update;
  if (op == "\"delete\"" || op == "\"d\"") return Kind::remove;
  if (op == "\"truncate\"" || op == "\"t\"") return Kind::truncate;
  if (op == "\"snapshot\"" || op == "\"r\"") return Kind::snapshot;
  return std::nullopt;
}

// Debezium's "source": where the row is, and the transaction.
void take_source(std::string_view source, StoredChange& change) {
  JsonMembers members(source);
  while (members.next()) {
    const std::string_view name = members.name();
    if (name == "schema") {
      change.schema = json_text(members.value());
    } else if (name == "table") {
      change.table = json_text(members.value());
    } else if (name == "txId") {
      change.xid = pg::TransactionId(number<std::uint32_t>(members.value()).value_or(0));
    } else if (name == "lsn" && !change.commit_lsn.valid()) {
      change.commit_lsn = pg::Lsn(number<std::uint64_t>(members.value()).value_or(0));
    }
  }
}

// "transaction":{"id":"{xid}:{commit LSN}",…}
void take_transaction(std::string_view transaction, StoredChange& change) {
  JsonMembers members(transaction);
  while (members.next()) {
    if (members.name() != "id") continue;
    const std::string_view id = bare(members.value());
    const auto colon = id.find(':');
    if (colon == std::string_view::npos) continue;
    if (const auto lsn = number<std::uint64_t>(id.substr(colon + 1))) {
      change.commit_lsn = pg::Lsn(*lsn);
    }
  }
}

}  // namespace

std::optional<StoredChange> parse_change(std::string_view record) {
  StoredChange change;
  std::optional<Kind> kind;
  std::string_view source;
  std::string_view transaction;
  JsonMembers members(record);
  while (members.next()) {
    const std::string_view name = members.name();
    const std::string_view value = members.value();
    if (name == "op") {
      kind = kind_of(value);
    } else if (name == "schema") {
      change.schema = json_text(value);
    } else if (name == "table") {
      change.table = json_text(value);
    } else if (name == "key") {
      change.key = unless_null(value);
    } else if (name == "before") {
      change.before = unless_null(value);
    } else if (name == "after") {
      change.after = unless_null(value);
    } else if (name == "unchanged") {
      change.unchanged = value;
    } else if (name == "omitted") {
      change.omitted = value;
    } else if (name == "commit_lsn") {
      change.commit_lsn = pg::parse_lsn(bare(value)).value_or(pg::Lsn());
    } else if (name == "xid") {
      change.xid = pg::TransactionId(number<std::uint32_t>(value).value_or(0));
    } else if (name == "source") {
      source = value;
    } else if (name == "transaction") {
      transaction = unless_null(value);
    }
  }
  if (!members.good() || !kind) return std::nullopt;
  change.kind = *kind;
  if (!source.empty()) {
    change.format = ChangeFormat::debezium;
    if (!transaction.empty()) take_transaction(transaction, change);
    take_source(source, change);
  }
  if (change.table.empty()) return std::nullopt;
  return change;
}

void MessageLines::take(publisher::Delivery& message,
                        const std::function<void(std::string_view)>& line) {
  const std::string* part = message.header(part_header);
  const std::string* parts = message.header(parts_header);
  if (part != nullptr && parts != nullptr) {
    if (*part == "1") joined_.clear();
    if (*part != "1" && *part != next_part_) {
      next_part_ = "1";
      return;
    }
    joined_ += message.payload;
    next_part_ = std::to_string(number<std::uint32_t>(*part).value_or(0) + 1);
    if (*part != *parts) return;
    next_part_ = "1";
    line(joined_);
    std::string().swap(joined_);
    return;
  }
  std::string_view rest = message.payload;
  const bool pack = message.header(changes_header) != nullptr;
  do {
    const std::size_t end = pack ? std::min(rest.find('\n'), rest.size()) : rest.size();
    line(rest.substr(0, end));
    rest.remove_prefix(std::min(rest.size(), end + 1));
  } while (!rest.empty());
}

}  // namespace connector
