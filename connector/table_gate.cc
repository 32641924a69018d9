#include "connector/table_gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "connector/saved_position.h"
#include "connector/stop.h"
#include "pg/publication.h"
#include "pg/type_catalog.h"

namespace connector {

TableGate::TableGate(const TableConfig& config, const pg::Relation& relation,
                     const std::string& publication, pqxx::connection& sql, pg::Lsn at,
                     pg::TransactionId xid)
    : name_(relation.schema + "." + relation.name),
      choice_(config, relation),
      where_(config.where),
      sql_(&sql) {
  const auto refuse = [&](const std::string& column, const char* why) {
    throw Stop(Exit::precondition,
               fmt::format("table {}, position {}: there is no column \"{}\", which its {}", name_,
                           to_string(at), column, why),
               "correct its [[table]] in the configuration");
  };
  for (const std::string& column : choice_.missing_key()) refuse(column, "key names");
  if (!config.pattern && !choice_.unseen().empty()) {
    // Where the table has it today, this shape may be of a time before. Where it has not, the
    // column may have been renamed, and would be shown. What renames it can be read from WAL before
    // the catalog has it.
    pg::wait_until_visible(sql, xid);
    const pg::TableColumns today = pg::table_columns(sql, relation.id.value);
    for (const std::string& column : choice_.unseen()) {
      if (today.find(column) == nullptr) refuse(column, "mask or exclude names");
    }
    refuse_former_names(relation, today, at);
  }
  if (!where_.empty()) {
    server_since_ = pg::filter_in_force(sql, {publication, pg::insert_publication(publication)},
                                        relation.id, where_);
  }
}

// A column that is to be hidden may have had another name for a while: any that stood here and does
// no longer. (Where that name has gone to another column since, nobody can tell.)
void TableGate::refuse_former_names(const pg::Relation& relation, const pg::TableColumns& today,
                                    pg::Lsn at) const {
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const pg::Column& column = relation.columns[i];
    const bool open = (choice_.shown(i) || column.key) && choice_.mask(i) == Mask::none;
    if (!open || today.find(column.name) != nullptr) continue;
    throw Stop(Exit::precondition,
               fmt::format(
                   "table {}, position {}: the table had no column \"{}\" there, which its mask or "
                   "exclude names, but \"{}\", which is gone today and may be the same column "
                   "under another name",
                   name_, to_string(at), choice_.unseen().front(), column.name),
               fmt::format(
                   "name the columns to be published, without \"{}\", in its columns (in the place "
                   "of exclude) until walferry is past that position",
                   column.name));
  }
}

template <class Change>
RowFilter::Left TableGate::filtered(const Change& change, pg::Position position) {
  try {
    if (filter_ == nullptr) {
      filter_ = std::make_unique<RowFilter>(*sql_, where_, *change.relation);
    }
    return filter_->pass(change);
  } catch (const BadFilter& bad) {
    throw Stop(
        Exit::precondition,
        fmt::format("table {}, position {}: {}", name_, connector::to_string(position), bad.what()),
        bad.hint());
  }
}

template RowFilter::Left TableGate::filtered(const pg::Insert& change, pg::Position position);
template RowFilter::Left TableGate::filtered(const pg::Update& change, pg::Position position);
template RowFilter::Left TableGate::filtered(const pg::Delete& change, pg::Position position);

// An old row can be named by the configured key only where Postgres sends its columns of old rows.
void TableGate::require_key(Op op, pg::Position position) const {
  if (op == Op::insert || op == Op::truncate || op == Op::snapshot) return;
  throw Stop(
      Exit::precondition,
      fmt::format("table {}, position {}: its key has column {}, which its replica identity "
                  "had not at that place",
                  name_, connector::to_string(position), fmt::join(choice_.uncovered_key(), ", ")),
      "take the column out of key, or the op out of ops; REPLICA IDENTITY FULL covers it "
      "from then on");
}

}  // namespace connector
