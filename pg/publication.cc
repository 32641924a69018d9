#include "pg/publication.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "pg/publication_comment.h"

namespace pg {
namespace {

using Name = std::pair<std::string, std::string>;

constexpr int narrowing_since = 150000;  // column lists and row filters
constexpr int generated_since = 180000;  // publish_generated_columns

std::string quoted(pqxx::connection& sql, const Name& name) {
  return sql.quote_name(name.first) + "." + sql.quote_name(name.second);
}

// As one table of a publication: ONLY "s"."t" ("a", "b") WHERE (…).
std::string narrowed(pqxx::connection& sql, const Name& name, const Narrowing& narrowing) {
  std::string text = "ONLY " + quoted(sql, name);
  for (const std::string& column : narrowing.columns) {
    text += (&column == &narrowing.columns.front() ? " (" : ", ") + sql.quote_name(column);
  }
  if (!narrowing.columns.empty()) text += ')';
  // A comment at the text's end must not take the bracket with it.
  if (!narrowing.where.empty()) text += " WHERE (" + narrowing.where + "\n)";
  return text;
}

// ONLY, so that a child of an inheritance parent is published when it is configured, not by its
// descent; on a partitioned table the word has no effect.
std::string table_list(pqxx::connection& sql, const std::vector<Name>& names,
                       const Narrowings& narrowings = {}) {
  std::string list;
  for (const Name& name : names) {
    const auto found = narrowings.find(name);
    if (!list.empty()) list += ", ";
    list += narrowed(sql, name, found == narrowings.end() ? Narrowing{} : found->second);
  }
  return list;
}

std::vector<Name> minus(const std::vector<Name>& a, const std::vector<Name>& b) {
  const std::set<Name> without(b.begin(), b.end());
  std::vector<Name> left;
  std::copy_if(a.begin(), a.end(), std::back_inserter(left),
               [&](const Name& name) { return without.count(name) == 0; });
  return left;
}

// What one of our two publications is to be.
struct Wanted {
  std::string name;
  const char* operations;
  std::vector<Name> tables;
  const Narrowings& narrowings;
  const std::set<Name>& left;  // these stay as they are: they belong to another role
  bool with_generated;

  const Narrowing& of(const Name& table) const {
    static const Narrowing whole;
    const auto found = narrowings.find(table);
    return found == narrowings.end() ? whole : found->second;
  }
  std::set<std::string> marks(const std::set<std::string>& now) const {
    std::set<std::string> marks;
    for (const Name& table : tables) {
      if (of(table).where.empty()) continue;
      const std::string mark = filter_mark(table, of(table).where);
      if (left.count(table) == 0 || now.count(mark) > 0) marks.insert(mark);
    }
    return marks;
  }
  std::string comment(pqxx::connection& sql, const std::set<std::string>& now) const {
    return fmt::format("COMMENT ON PUBLICATION {} IS '{}'", sql.quote_name(name),
                       comment_of(marks(now)));
  }
};

void plan_create(pqxx::connection& sql, const Wanted& wanted,
                 std::vector<std::string>& statements) {
  const std::string list = table_list(sql, wanted.tables, wanted.narrowings);
  statements.push_back(fmt::format(
      "CREATE PUBLICATION {}{}{} WITH (publish = '{}', publish_via_partition_root = true{})",
      sql.quote_name(wanted.name), list.empty() ? "" : " FOR TABLE ", list, wanted.operations,
      wanted.with_generated ? ", publish_generated_columns = stored" : ""));
  statements.push_back(wanted.comment(sql, {}));
}

bool is_as_wanted(const PublicationInfo& now, const Name& table, const Narrowing& narrowing) {
  const auto list = now.lists.find(table);
  const std::set<std::string> columns =
      list == now.lists.end() ? std::set<std::string>{} : list->second;
  if (columns != std::set<std::string>(narrowing.columns.begin(), narrowing.columns.end())) {
    return false;
  }
  if (narrowing.where.empty()) return now.filtered.count(table) == 0;
  return now.filtered.count(table) > 0 &&
         now.filter_marks.count(filter_mark(table, narrowing.where)) > 0;
}

void plan_alter(pqxx::connection& sql, const PublicationInfo& now, const Wanted& wanted,
                std::vector<std::string>& statements) {
  std::vector<Name> surplus = minus(now.tables, wanted.tables);
  std::vector<Name> missing = minus(wanted.tables, now.tables);
  for (const Name& table : minus(now.tables, surplus)) {
    if (wanted.left.count(table) > 0 || is_as_wanted(now, table, wanted.of(table))) continue;
    surplus.push_back(table);
    missing.push_back(table);
  }
  const std::string name = sql.quote_name(wanted.name);
  if (wanted.with_generated && !now.with_generated) {
    statements.push_back(
        fmt::format("ALTER PUBLICATION {} SET (publish_generated_columns = stored)", name));
  }
  if (!surplus.empty()) {
    statements.push_back(
        fmt::format("ALTER PUBLICATION {} DROP TABLE {}", name, table_list(sql, surplus)));
  }
  if (!missing.empty()) {
    statements.push_back(fmt::format("ALTER PUBLICATION {} ADD TABLE {}", name,
                                     table_list(sql, missing, wanted.narrowings)));
  }
  if (now.filter_marks != wanted.marks(now.filter_marks)) {
    statements.push_back(wanted.comment(sql, now.filter_marks));
  }
}

// The tables of one of our own, as written: pg_publication_tables names the root in a partition's
// place.
void look_at_tables(pqxx::nontransaction& work, const std::string& name, PublicationInfo& info) {
  const bool can_narrow = work.conn().server_version() >= narrowing_since;
  for (const auto& row : work.exec(fmt::format(
           R"(
    SELECT n.nspname, c.relname, {} AS filtered, a.attname
      FROM pg_publication_rel r
      JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND {}
     WHERE p.pubname = {} ORDER BY c.oid, a.attnum)",
           can_narrow ? "r.prqual IS NOT NULL" : "false",
           can_narrow ? "a.attnum = ANY (r.prattrs::int2[])" : "false", work.quote(name)))) {
    const Name table(row[0].c_str(), row[1].c_str());
    if (info.tables.empty() || info.tables.back() != table) info.tables.push_back(table);
    if (row[2].as<bool>()) info.filtered.insert(table);
    if (!row[3].is_null()) info.lists[table].insert(row[3].c_str());
  }
}

// Why a publication that someone else made would leave something out.
std::vector<std::string> misfits(const std::string& name, const PublicationInfo& info,
                                 const std::vector<TableInfo>& tables) {
  std::vector<std::string> problems;
  const auto fix = [&](const std::string& what, const std::string& how) {
    problems.push_back(
        fmt::format("publication \"{}\", which walferry did not make and so does not alter, {}: {}",
                    name, what, how));
  };
  if (!info.inserts || !info.updates || !info.deletes || !info.truncates) {
    fix("does not publish every operation",
        fmt::format("ALTER PUBLICATION \"{}\" SET (publish = 'insert, update, delete, truncate')",
                    name));
  }
  const auto contains = [](const std::vector<Name>& names, const TableInfo& table) {
    return std::find(names.begin(), names.end(), Name(table.schema, table.name)) != names.end();
  };
  for (const TableInfo& table : tables) {
    if (table.partitioned && !info.via_root) {
      fix(fmt::format("publishes the partitions of {}.{} under their own names", table.schema,
                      table.name),
          fmt::format("ALTER PUBLICATION \"{}\" SET (publish_via_partition_root = true)", name));
    } else if (!contains(info.tables, table)) {
      fix(fmt::format("does not cover {}.{}", table.schema, table.name),
          fmt::format("ALTER PUBLICATION \"{}\" ADD TABLE \"{}\".\"{}\"", name, table.schema,
                      table.name));
    } else if (contains(info.narrowed, table)) {
      fix(fmt::format("has a column list or row filter on {}.{}", table.schema, table.name),
          "remove it, or let walferry make a publication of its own");
    }
  }
  return problems;
}

}  // namespace

std::string insert_publication(const std::string& publication) { return publication + "_insert"; }

std::optional<PublicationInfo> publication_info(pqxx::connection& sql, const std::string& name) {
  pqxx::nontransaction work(sql);
  const pqxx::result found = work.exec(fmt::format(
      R"(
    SELECT p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
           coalesce(obj_description(p.oid, 'pg_publication'), '') AS comment,
           pg_has_role(p.pubowner, 'USAGE') AS owned, {} AS with_generated
      FROM pg_publication p WHERE p.pubname = {})",
      sql.server_version() >= generated_since ? "p.pubgencols = 's'" : "false", sql.quote(name)));
  if (found.empty()) return std::nullopt;
  PublicationInfo info;
  info.inserts = found[0]["pubinsert"].as<bool>();
  info.updates = found[0]["pubupdate"].as<bool>();
  info.deletes = found[0]["pubdelete"].as<bool>();
  info.truncates = found[0]["pubtruncate"].as<bool>();
  info.via_root = found[0]["pubviaroot"].as<bool>();
  const auto marks = marks_in(found[0]["comment"].c_str());
  info.ours = marks.has_value();
  info.with_generated = found[0]["with_generated"].as<bool>();
  info.owned = found[0]["owned"].as<bool>();

  if (info.ours) {
    info.filter_marks = *marks;
    look_at_tables(work, name, info);
    return info;
  }
  const bool can_narrow = sql.server_version() >= narrowing_since;
  const pqxx::result tables = work.exec(fmt::format(
      R"(
    SELECT t.schemaname, t.tablename, {} AS narrowed
      FROM pg_publication_tables t WHERE t.pubname = {})",
      can_narrow ? R"(t.rowfilter IS NOT NULL OR cardinality(t.attnames) < (
           SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = t.schemaname AND c.relname = t.tablename
              AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''))"
                 : "false",
      sql.quote(name)));
  for (const auto& row : tables) {
    info.tables.emplace_back(row[0].c_str(), row[1].c_str());
    if (row[2].as<bool>()) info.narrowed.push_back(info.tables.back());
  }
  return info;
}

PublicationPlan plan_publications(pqxx::connection& sql, const std::string& name,
                                  const std::vector<TableInfo>& tables, bool leave_unowned,
                                  const Narrowings& narrowings) {
  PublicationPlan plan;
  const auto main = publication_info(sql, name);
  if (main && !main->ours) {
    plan.publications = {name};
    plan.problems = misfits(name, *main, tables);
    return plan;
  }
  const std::string inserts_name = insert_publication(name);
  const auto inserts = publication_info(sql, inserts_name);
  plan.publications = {name, inserts_name};
  if (inserts && !inserts->ours) {
    plan.problems.push_back(fmt::format(
        "publication \"{}\" exists and is not walferry's: rename it, or set source.publication",
        inserts_name));
    return plan;
  }
  const auto covers = [](const std::optional<PublicationInfo>& info, const Name& table) {
    return info && std::find(info->tables.begin(), info->tables.end(), table) != info->tables.end();
  };
  std::vector<Name> with_identity;
  std::vector<Name> without;
  std::set<Name> left;
  for (const TableInfo& table : tables) {
    const Name table_name(table.schema, table.name);
    if (!covers(main, table_name) && !covers(inserts, table_name)) {
      plan.added.push_back(table_name);
    }
    if (!table.owned) left.insert(table_name);
    if (!table.owned && !covers(table.has_identity ? main : inserts, table_name)) {
      plan.unowned.push_back(table_name);
      if (leave_unowned) {
        if (covers(main, table_name)) with_identity.push_back(table_name);
        if (covers(inserts, table_name)) without.push_back(table_name);
        continue;
      }
    }
    (table.has_identity ? with_identity : without).push_back(table_name);
  }
  for (const auto* info : {&main, &inserts}) {
    if (!*info) continue;
    for (const Name& covered : (*info)->tables) {
      const bool stays = std::any_of(tables.begin(), tables.end(), [&](const TableInfo& table) {
        return Name(table.schema, table.name) == covered;
      });
      if (!stays) plan.removed.push_back(covered);
    }
  }
  const bool with_generated = sql.server_version() >= generated_since;
  bool creates = false;
  const auto plan_one = [&](const std::optional<PublicationInfo>& now, const Wanted& wanted) {
    if (now) {
      const std::size_t before = plan.statements.size();
      plan_alter(sql, *now, wanted, plan.statements);
      if (plan.statements.size() > before && !now->owned) {
        plan.lacks.push_back("does not own publication " + wanted.name);
      }
    } else {
      creates = true;
      plan_create(sql, wanted, plan.statements);
    }
  };
  plan_one(main, {name, "insert, update, delete, truncate", with_identity, narrowings, left,
                  with_generated});
  plan_one(inserts, {inserts_name, "insert, truncate", without, narrowings, left, with_generated});
  const ServerInfo server = server_info(sql);
  if (creates && !server.may_create_publication) {
    plan.lacks.push_back("has no CREATE on database " + server.database);
  }
  return plan;
}

std::optional<Lsn> filter_in_force(pqxx::connection& sql,
                                   const std::vector<std::string>& publications,
                                   RelationId relation, const std::string& where) {
  if (sql.server_version() < narrowing_since) return std::nullopt;
  std::string names;
  for (const std::string& name : publications) {
    names += (names.empty() ? "" : ", ") + sql.quote(name);
  }
  pqxx::nontransaction work(sql);
  for (const auto& row : work.exec(fmt::format(R"(
    SELECT n.nspname, c.relname, coalesce(obj_description(p.oid, 'pg_publication'), ''),
           pg_current_wal_insert_lsn()
      FROM pg_publication_rel r
      JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.pubname IN ({}) AND r.prrelid = {} AND r.prqual IS NOT NULL)",
                                               names, relation.value))) {
    const auto marks = marks_in(row[2].c_str());
    if (marks && marks->count(filter_mark({row[0].c_str(), row[1].c_str()}, where)) > 0) {
      return parse_lsn(row[3].c_str());
    }
  }
  return std::nullopt;
}

bool apply(pqxx::connection& sql, const PublicationPlan& plan, const Alteration& with) {
  if (plan.statements.empty()) return true;
  const auto attempt = [&](bool waits) {
    pqxx::work work(sql);
    work.exec("SET LOCAL lock_timeout = '500ms'");
    for (const Name& table : with.quiet) {
      if (waits) work.exec(fmt::format("LOCK TABLE {} IN SHARE MODE", quoted(sql, table)));
    }
    for (const std::string& statement : plan.statements) work.exec(statement);
    if (!with.content.empty()) {
      work.exec(fmt::format("SELECT pg_logical_emit_message(true, {}, {}::text)",
                            sql.quote(with.prefix), sql.quote(with.content)));
    }
    work.commit();
  };
  if (with.quiet.empty()) {
    attempt(false);
    return true;
  }
  try {
    attempt(true);
    return true;
  } catch (const pqxx::sql_error& error) {
    if (error.sqlstate() != "55P03") throw;  // lock_not_available
  }
  attempt(false);
  return false;
}

std::vector<std::string> drop_publications(pqxx::connection& sql, const std::string& name) {
  std::vector<std::string> dropped;
  for (const std::string& publication : {name, insert_publication(name)}) {
    const auto info = publication_info(sql, publication);
    if (!info || !info->ours) continue;
    pqxx::nontransaction work(sql);
    work.exec("DROP PUBLICATION " + sql.quote_name(publication));
    dropped.push_back(publication);
  }
  return dropped;
}

}  // namespace pg
