// A reader of test_decoding's lines. It stops at anything that it does not understand.
#include "tests/servers/oracle.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace servers {
namespace {

class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  bool take(std::string_view expected) {
    if (!rest_.starts_with(expected)) {
      return false;
    }
    rest_.remove_prefix(expected.size());
    return true;
  }
  void expect(std::string_view expected) {
    if (!take(expected)) {
      throw std::runtime_error("test_decoding: expected '" + std::string(expected) + "' before '" +
                               std::string(rest_) + "'");
    }
  }
  std::string until(std::string_view stops) {
    const auto end = std::min(rest_.find_first_of(stops), rest_.size());
    return taken(end);
  }
  // Between quotes, doubled inside.
  std::string quoted(char quote) {
    std::string text;
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == quote && (rest_.empty() || rest_.front() != quote)) {
        return text;
      }
      if (c == quote) {
        rest_.remove_prefix(1);
      }
      text += c;
    }
    throw std::runtime_error("test_decoding: no closing quote");
  }
  std::string identifier() { return rest_.starts_with('"') ? quoted('"') : until(".:, [ "); }
  // "[character varying[]]"
  std::string type() {
    std::size_t depth = 0;
    std::size_t end = 0;
    do {
      depth += rest_.at(end) == '[' ? 1U : 0U;
      depth -= rest_.at(end) == ']' ? 1U : 0U;
      ++end;
    } while (depth > 0);
    const std::string text = taken(end);
    return text.substr(1, text.size() - 2);
  }
  bool starts_with_quote() const { return rest_.starts_with('\''); }
  bool starts_a_section() const {
    return rest_.starts_with("new-tuple:") || rest_.starts_with("old-key:");
  }

 private:
  std::string taken(std::size_t size) {
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }

  std::string_view rest_;
};

TrueColumn column(Line& line) {
  TrueColumn result;
  result.name = line.identifier();
  result.type = line.type();
  line.expect(":");
  line.take("B");  // of a bit string
  if (line.starts_with_quote()) {
    result.text = line.quoted('\'');
  } else {
    result.text = line.until(" ");
    if (result.text == "null") {
      result.kind = TrueColumn::Kind::null;
    } else if (result.text == "unchanged-toast-datum") {
      result.kind = TrueColumn::Kind::unchanged;
    }
  }
  return result;
}

std::vector<TrueColumn> columns(Line& line) {
  std::vector<TrueColumn> result;
  while (line.take(" ") && !line.starts_a_section() && !line.take("(no-tuple-data)")) {
    result.push_back(column(line));
  }
  return result;
}

std::string lower(std::string text) {
  for (char& c : text) {
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

}  // namespace

std::vector<TrueChange> parse_true_changes(std::string_view text) {
  Line line(text);
  line.expect("table ");
  std::vector<TrueChange> changes;
  do {
    TrueChange change;
    change.schema = line.identifier();
    line.expect(".");
    change.table = line.identifier();
    changes.push_back(std::move(change));
  } while (line.take(", "));
  line.expect(": ");
  const std::string op = lower(line.until(":"));
  line.expect(":");
  for (auto& change : changes) {
    change.op = op;
  }
  TrueChange& first = changes.front();
  if (op == "truncate") {
    return changes;  // its options are not walferry's business
  }
  if (op == "delete") {
    first.old_row = columns(line);
  } else if (line.take(" old-key:")) {
    first.old_row = columns(line);
    line.expect("new-tuple:");
    first.new_row = columns(line);
  } else {
    first.new_row = columns(line);
  }
  if (!line.done()) {
    line.expect("the end");
  }
  return changes;
}

Oracle::Oracle(PostgresCluster& postgres, std::string slot)
    : postgres_(postgres), slot_(std::move(slot)) {
  postgres_.query("SELECT pg_create_logical_replication_slot(" + sql_literal(slot_) +
                  ", 'test_decoding')");
  PgSession session = postgres_.connect();
  look_at_keys(session);
}

Keys Oracle::keys() const {
  Keys known = keys_;
  for (const auto& table : changed_keys_) {
    known.erase(table);
  }
  return known;
}

void Oracle::look_at_keys(PgSession& session) {
  Keys now;
  session.for_each(
      "SELECT n.nspname || '.' || c.relname, a.attname FROM pg_class c"
      " JOIN pg_namespace n ON n.oid = c.relnamespace"
      " LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident"
      " WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate"
      " WHEN 'f' THEN i.indisprimary ELSE false END"
      " LEFT JOIN pg_attribute a ON a.attrelid = c.oid"
      " AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])"
      " WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'"
      " AND n.nspname <> 'information_schema'",
      [&](const SqlRow& row) {
        auto& key = now[row.at(0).value()];
        if (row.at(1).has_value()) {
          key.push_back(row.at(1).value());
        }
      });
  for (auto& [table, key] : now) {
    std::sort(key.begin(), key.end());
    const auto [before, is_new] = keys_.emplace(table, key);
    if (!is_new && before->second != key) {
      changed_keys_.insert(table);
    }
  }
}

const std::vector<TrueTransaction>& Oracle::read() {
  PgSession session = postgres_.connect();
  TrueTransaction open;
  session.for_each("SELECT lsn, xid, data FROM pg_logical_slot_get_changes(" + sql_literal(slot_) +
                       ", NULL, NULL, 'skip-empty-xacts', '1', 'include-xids', '1')",
                   [&](const SqlRow& row) {
                     const std::string& data = row.at(2).value();
                     if (data.starts_with("BEGIN ")) {
                       open = TrueTransaction();
                       open.xid = static_cast<std::uint32_t>(std::stoul(row.at(1).value()));
                     } else if (data.starts_with("COMMIT ")) {
                       open.end_lsn = parse_lsn(row.at(0).value());
                       // After a crash the slot may repeat what it gave before.
                       if (transactions_.empty() || open.end_lsn > transactions_.back().end_lsn) {
                         transactions_.push_back(std::move(open));
                       }
                     } else if (data.starts_with("table ")) {
                       for (auto& change : parse_true_changes(data)) {
                         open.changes.push_back(std::move(change));
                       }
                     }
                   });
  look_at_keys(session);
  return transactions_;
}

std::size_t Oracle::changes() const {
  std::size_t count = 0;
  for (const auto& transaction : transactions_) {
    count += transaction.changes.size();
  }
  return count;
}

}  // namespace servers
