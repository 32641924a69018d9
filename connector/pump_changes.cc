// The pump's way from a change to a message: which changes are recorded, how, and what goes before
// them. The loop and the way back are in pump.cc.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <type_traits>
#include <variant>

#include "connector/config_values.h"
#include "connector/failpoint.h"
#include "connector/omission.h"
#include "connector/pump.h"
#include "connector/schema_record.h"
#include "connector/stop.h"
#include "connector/subject.h"

namespace connector {
namespace {

pg::Row new_row(const pg::Insert& change) { return change.row; }
pg::Row new_row(const pg::Update& change) { return change.row; }
pg::Row new_row(const pg::Delete&) { return {}; }
pg::Row old_row(const pg::Insert&) { return {}; }
pg::Row old_row(const pg::Update& change) { return change.old; }
pg::Row old_row(const pg::Delete& change) { return change.old; }

// The change with these rows in the place of its own.
template <class Encoder>
void encode(const Encoder& encoder, std::string& out, const pg::Insert& change, pg::Row row,
            pg::Row) {
  encoder.insert(out, {change.relation, row});
}
template <class Encoder>
void encode(const Encoder& encoder, std::string& out, const pg::Update& change, pg::Row row,
            pg::Row old) {
  encoder.update(out, {change.relation, change.old_kind, old, row});
}
template <class Encoder>
void encode(const Encoder& encoder, std::string& out, const pg::Delete& change, pg::Row,
            pg::Row old) {
  encoder.remove(out, {change.relation, change.old_kind, old});
}

}  // namespace

void Pump::on(const pg::RelationSeen& seen) {
  tables_.erase(seen.relation->id.value);  // made anew in its new shape when a change comes
  if (snapshots_) snapshots_->shape_seen(*seen.relation);
}

void Pump::on(const pg::TypeSeen& seen) { types_.announced(seen.type, seen.schema, seen.name); }

void Pump::on(const pg::Insert& change) { row(change); }
void Pump::on(const pg::Update& change) { row(change); }
void Pump::on(const pg::Delete& change) { row(change); }

void Pump::on(const pg::Truncate& change) {
  for (const pg::Relation* relation : change.relations) {
    if (is_early(*relation)) continue;
    record(*relation, Op::truncate, {}, {},
           [](const auto& table, std::string& out, pg::Row, pg::Row) { table.truncate(out); });
  }
}

// Within a transaction it is a change like any other. Outside, it stands alone at its own place.
void Pump::on(const pg::Message& message) {
  if (!message.transactional && message.prefix == snapshot_mark_prefix) {
    on_mark(message);
    return;
  }
  if (!message.transactional && message.prefix == snapshot_order_prefix) {
    on_order(message);
    return;
  }
  pg::Position position{message.lsn, 0};
  if (message.transactional) {
    position.commit_lsn = transaction_.commit_lsn();
    position.ordinal = ++ordinal_;
    format_.count_message();
    if (message.prefix == publication_prefix) note_altered(message);
  } else if (is_over(message.lsn)) {
    return;
  } else {
    frontier_.begin();
  }
  session_.reread.saw_change(position);
  if (!(message.transactional && leaves_out_transaction())) {
    if (const OutboxConfig* outbox = selection_.outbox_of_messages(message.prefix)) {
      event(message, *outbox, position);
    } else if (selection_.takes_messages_of(message.prefix)) {
      hold(message, position);
    }
  }
  if (message.transactional) return;
  writer_.commit();
  close_transaction(message.lsn);
}

// Until all that is stored has been compared with WAL, a hole could still be found in it, and what
// a position rests on cannot be told: the frontier stays where it is.
void Pump::close_transaction(pg::Lsn end) {
  session_.reread.passed(end);
  frontier_.committed(session_.reread.done() ? end : pg::Lsn());
}

void Pump::hold(const pg::Message& message, pg::Position position) {
  const std::string prefix = escape_token(message.prefix);
  if (message.prefix.size() > longest_message_prefix) {
    throw Stop(
        Exit::precondition,
        fmt::format("a logical message at position {} has a prefix of {} bytes, {}…: at most "
                    "{} go into a subject",
                    connector::to_string(position), message.prefix.size(), prefix.substr(0, 60),
                    longest_message_prefix),
        "name the prefixes to publish in source.messages instead of \"*\"");
  }
  HeldRecord& held = writer_.hold(position);
  held.source = "logical message " + prefix;
  held.subject = fmt::format("{}._message.{}", config_.stream.subject_prefix, prefix);
  held.raw = true;
  if (!format_.message(held.body, message, position.ordinal)) held.body = message.content;
  held.headers.emplace_back("Walferry-Lsn", to_string(message.lsn));
  if (message.transactional) {
    held.headers.emplace_back("Walferry-Xid", std::to_string(transaction_.xid().value));
  }
  held.headers.emplace_back("Walferry-Prefix", guard_header(prefix));
}

// Row filters would cost a query for nothing there.
bool Pump::leaves_out_transaction() const { return replicated_ && config_.source.origin == "none"; }

pg::Position Pump::count(pg::RelationId table) {
  const pg::Position position{transaction_.commit_lsn(), ++ordinal_};
  format_.count(table);
  if (snapshots_) snapshots_->changed(table, xid_);
  if (!session_.reread.done()) session_.reread.saw_change(position);
  return position;
}

// Of a transaction that was open when the table joined, from before that: see JoinedTables.
bool Pump::is_early(const pg::Relation& relation) {
  if (session_.joined.none()) return false;
  const auto known = tables_.find(relation.id.value);
  const auto straddles = [&](const std::vector<pg::Lsn>& places) {
    return std::any_of(places.begin(), places.end(), [&](pg::Lsn place) {
      return change_lsn_ < place && transaction_.commit_lsn() > place;
    });
  };
  const bool early =
      straddles(known == tables_.end() ? session_.joined.places(relation.schema, relation.name)
                                       : known->second.joined);
  if (early && snapshots_) snapshots_->changed(relation.id, xid_);
  return early;
}

void Pump::note_altered(const pg::Message& message) {
  publisher::Connection* const kept_in = session_.replay ? nullptr : session_.nats.get();
  if (session_.joined.altered(message.content, transaction_.commit_lsn(), kept_in)) tables_.clear();
}

template <class Change>
void Pump::row(const Change& change) {
  const pg::Relation& relation = *change.relation;
  if (is_early(relation)) return;
  if (leaves_out_transaction()) {
    count(relation.id);
    return;
  }
  const pg::Position position{transaction_.commit_lsn(), ordinal_ + 1};
  Table& table = table_of(relation, position);
  if constexpr (std::is_same_v<Change, pg::Insert>) {
    if (table.outbox) return event(change);
  }
  const auto left = table.gate.pass(change, change_lsn_, position);
  std::visit(
      [&](const auto& one) {
        if constexpr (std::is_convertible_v<decltype(one), RowFilter::Nothing>) {
          count(relation.id);
        } else {
          if constexpr (std::is_same_v<std::decay_t<decltype(one)>, pg::Update>) {
            if (is_two(one)) return record_two(one);
          }
          record(relation, op_of(one), new_row(one), old_row(one),
                 [&](const auto& encoder, std::string& out, pg::Row row, pg::Row old) {
                   encode(encoder, out, one, row, old);
                 });
        }
      },
      left);
}

bool Pump::is_two(const pg::Update& change) {
  const Table& table = tables_.at(change.relation->id.value);  // row() has made it
  return table.selected && format_.is_two(*table.encoder, change);
}

// Where the record of this change goes; nullptr: it has none.
HeldRecord* Pump::hold(const pg::Relation& relation, Op op, pg::Row row, pg::Row old) {
  const pg::Position position = count(relation.id);
  if (leaves_out_transaction()) return nullptr;
  Table& table = table_of(relation, position);
  if (!table.selected || !table.gate.publishes(op, position)) return nullptr;
  if (is_in_snapshot(relation)) return nullptr;
  if (op == Op::update && !session_.replay && session_.snapshots.moves(relation, row, old)) {
    session_.save_snapshots();
    if (snapshots_) snapshots_->moved();
  }
  if (snapshots_) snapshots_->published(relation, op, row, old, xid_);
  if (!table.announced && op != Op::truncate) announce(table, relation, position);
  HeldRecord& held = writer_.hold(position);
  held.source.assign(table.source);
  held.subject.assign(table.encoder->subject(op));
  held.event_subject.assign(table.format.event_subject);
  held.op = op;
  return &held;
}

template <class Encode>
void Pump::record(const pg::Relation& relation, Op op, pg::Row row, pg::Row old, Encode encode) {
  HeldRecord* const held = hold(relation, op, row, old);
  if (held == nullptr) return;
  const Table& table = tables_.at(relation.id.value);
  write(table, row, old, *held, [&](pg::Row new_values, pg::Row old_values) {
    format_.write(held->body, table.format, *table.encoder, transaction_, op, change_lsn_, ordinal_,
                  [&](const auto& encoder, std::string& out) {
                    encode(encoder, out, new_values, old_values);
                  });
  });
}

void Pump::record_two(const pg::Update& change) {
  HeldRecord* const held = hold(*change.relation, Op::update, change.row, change.old);
  if (held == nullptr) return;
  const Table& table = tables_.at(change.relation->id.value);
  held->op = Op::insert;
  held->subject.assign(table.encoder->subject(Op::insert));
  held->removal_subject.assign(table.encoder->subject(Op::remove));
  write(table, change.row, change.old, *held, [&](pg::Row row, pg::Row old) {
    format_.write_two(held->removal, held->body, table.format,
                      {change.relation, change.old_kind, old, row}, change_lsn_, ordinal_);
  });
}

// `put(row, old)` writes what is held. Where that is too large, it is without its largest columns,
// as few of them as it takes. What is left out, and so the record, must not depend on whether it is
// its transaction's last.
template <class Put>
void Pump::write(const Table& table, pg::Row row, pg::Row old, HeldRecord& held, Put put) {
  const auto fits = [&] {
    return std::max(held.body.size(), held.removal.size()) + transaction_.end_size() <=
           config_.publish.max_message;
  };
  try {
    put(row, old);
    if (!fits() && config_.publish.oversize == "omit") {
      Omission omission(row, old);
      // What a mask leaves of a value is small.
      const auto may = [&](std::size_t column) {
        return table.encoder->shows(column) && !table.encoder->is_key(column) &&
               table.gate.choice().mask(column) == Mask::none;
      };
      while (!fits() && omission.take_largest(may)) {
        held.body.clear();
        held.removal.clear();
        put(omission.row(), omission.old());
      }
    }
  } catch (const BadValue& bad) {
    throw Stop(Exit::precondition,
               fmt::format("{}, position {}{}: {}", table.source,
                           connector::to_string(held.position), key_for_log(held.body), bad.what()),
               "correct the value (a database with encoding SQL_ASCII stores any bytes)");
  }
  if (types_.has_warnings()) log_type_warnings();
}

void Pump::announce(Table& table, const pg::Relation& relation, pg::Position position) {
  switch (ShapeLog::ask(*table.announcements, position, table.shape)) {
    case ShapeLog::Row::announced: table.announced = true; return;
    case ShapeLog::Row::not_here: return;
    case ShapeLog::Row::unannounced:
      // Stored without one. (A replay reads all again, and announces where it did before.)
      if (!session_.replay && position <= session_.reread.anchor().change) return;
      publisher_.flush();  // announcing waits
      session_.announce(*table.announcements, {position, table.shape, table.full_key});
      pass(Failpoint::shape_saved);
      break;
    case ShapeLog::Row::first: break;
  }
  writer_.schema(
      position, table.source, schema_subject(config_.stream.subject_prefix, relation),
      schema_record(table.shown, pg::column_types(*session_.sql, table.shown), change_lsn_));
}

void Pump::send(const Message& message) {
  Reread& reread = session_.reread;
  if (!reread.done() && reread.is_stored(message.position)) {
    if (message.position > stored_tail_) {
      stored_tail_ = message.position;
      stored_last_ = reread.stored_up_to();
    }
    return;
  }
  if (behind_until_) {
    until_reached_ = true;
    return;
  }
  pass(Failpoint::before_publish);
  frontier_.sent(publisher_.publish(message.envelope, Clock::now()));
  in_flight_.push_back(message.position);
}

std::string Pump::key_for_log(std::string_view record) const {
  const std::string_view key = config_.log.keys ? format_.key_in(record) : std::string_view();
  return key.empty() ? "" : fmt::format(", key {}", key);
}

// The primary key of a table under REPLICA IDENTITY FULL. What is stored already was written with
// the key of then: today's could make other messages of the same WAL. So was what a replay tells
// again, as far as that is still known.
std::vector<std::string> Pump::full_key(const pg::Relation& relation,
                                        const ShapeLog::Entries& announcements,
                                        pg::Position position) {
  if (position <= session_.reread.anchor().change) {
    const ShapeLog::Entry* const then = ShapeLog::in_force(announcements, position);
    if (then != nullptr) return then->key;
  }
  pg::wait_until_visible(*session_.sql, xid_);
  std::vector<std::string> today = pg::primary_key(*session_.sql, relation.id);
  if (!session_.replay) return today;
  const std::string name = relation.schema + "." + relation.name;
  const auto* const then = ShapeLog::in_force(
      session_.replay->shapes.of(quoted_name(relation.schema, relation.name)), position);
  if (then == nullptr) {
    spdlog::warn(
        "table {}: which primary key it had at {} is not known any more: its records have today's "
        "in \"key\"",
        name, connector::to_string(position));
    return today;
  }
  if (then->key != today) {
    spdlog::warn(
        "table {}: from {} on its records have the primary key of when their shape was announced "
        "({}), which is not today's ({})",
        name, connector::to_string(position), fmt::join(then->key, ", "), fmt::join(today, ", "));
  }
  return then->key;
}

Pump::Table& Pump::table_of(const pg::Relation& relation, pg::Position position) {
  const auto found = tables_.find(relation.id.value);
  if (found != tables_.end()) return found->second;
  return tables_.emplace(relation.id.value, make_table(relation, position)).first->second;
}

Pump::Table Pump::make_table(const pg::Relation& relation, pg::Position position) {
  Table table;
  const TableConfig* config = selection_.find(relation.schema, relation.name);
  table.selected = config != nullptr;
  table.joined = session_.joined.places(relation.schema, relation.name);
  if (table.selected) {
    publisher_.flush();  // the catalog may have to be waited for
    table.gate =
        TableGate(*config, relation, config_.source.publication, *session_.sql, change_lsn_, xid_);
    table.announcements = &session_.shapes.of(quoted_name(relation.schema, relation.name));
    if (relation.identity == pg::ReplicaIdentity::full) {
      table.full_key = full_key(relation, *table.announcements, position);
    }
    table.encoder.emplace(relation, table.full_key, config_.stream.subject_prefix, values_,
                          table.gate.choice());
    table.format = format_.table(relation, *table.encoder, table.gate.choice());
    table.source = "table " + table.encoder->name();
    table.outbox = router_of(*config, relation);
    table.shown = shown_of(relation, *table.encoder);
    table.shape = shape_of(table.shown);
  }
  return table;
}

void Pump::log_type_warnings() {
  for (const std::string& warning : types_.take_warnings()) spdlog::warn("{}", warning);
}

}  // namespace connector
