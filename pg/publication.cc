#include "pg/publication.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace pg {
namespace {

using Name = std::pair<std::string, std::string>;

std::string quoted(pqxx::connection& sql, const Name& name) {
  return sql.quote_name(name.first) + "." + sql.quote_name(name.second);
}

// ONLY, so that a child of an inheritance parent is published when it is configured, not by its
// descent; on a partitioned table the word has no effect.
std::string table_list(pqxx::connection& sql, const std::vector<Name>& names) {
  std::string list;
  for (const Name& name : names) {
    list += fmt::format("{}ONLY {}", list.empty() ? "" : ", ", quoted(sql, name));
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

void plan_create(pqxx::connection& sql, const std::string& name, const char* operations,
                 const std::vector<Name>& wanted, std::vector<std::string>& statements) {
  const std::string list = table_list(sql, wanted);
  statements.push_back(fmt::format(
      "CREATE PUBLICATION {}{}{} WITH (publish = '{}', publish_via_partition_root = true)",
      sql.quote_name(name), list.empty() ? "" : " FOR TABLE ", list, operations));
  statements.push_back(
      fmt::format("COMMENT ON PUBLICATION {} IS '{}'", sql.quote_name(name), publication_comment));
}

void plan_alter(pqxx::connection& sql, const std::string& name, const PublicationInfo& now,
                const std::vector<Name>& wanted, std::vector<std::string>& statements) {
  const std::vector<Name> surplus = minus(now.tables, wanted);
  const std::vector<Name> missing = minus(wanted, now.tables);
  if (!surplus.empty()) {
    statements.push_back(fmt::format("ALTER PUBLICATION {} DROP TABLE {}", sql.quote_name(name),
                                     table_list(sql, surplus)));
  }
  if (!missing.empty()) {
    statements.push_back(fmt::format("ALTER PUBLICATION {} ADD TABLE {}", sql.quote_name(name),
                                     table_list(sql, missing)));
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
  const pqxx::result found =
      work.exec(fmt::format(R"(
    SELECT p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot,
           coalesce(obj_description(p.oid, 'pg_publication') = {}, false) AS ours,
           pg_has_role(p.pubowner, 'USAGE') AS owned
      FROM pg_publication p WHERE p.pubname = {})",
                            sql.quote(publication_comment), sql.quote(name)));
  if (found.empty()) return std::nullopt;
  PublicationInfo info;
  info.inserts = found[0]["pubinsert"].as<bool>();
  info.updates = found[0]["pubupdate"].as<bool>();
  info.deletes = found[0]["pubdelete"].as<bool>();
  info.truncates = found[0]["pubtruncate"].as<bool>();
  info.via_root = found[0]["pubviaroot"].as<bool>();
  info.ours = found[0]["ours"].as<bool>();
  info.owned = found[0]["owned"].as<bool>();

  if (info.ours) {
    // As written: pg_publication_tables names the root in a partition's place.
    for (const auto& row : work.exec(fmt::format(R"(
    SELECT n.nspname, c.relname FROM pg_publication_rel r
      JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE p.pubname = {})",
                                                 sql.quote(name)))) {
      info.tables.emplace_back(row[0].c_str(), row[1].c_str());
    }
    return info;
  }
  // Column lists and row filters exist from PostgreSQL 15 on.
  const bool can_narrow = sql.server_version() >= 150000;
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
                                  const std::vector<TableInfo>& tables, bool leave_unowned) {
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
  for (const TableInfo& table : tables) {
    const Name table_name(table.schema, table.name);
    if (!covers(main, table_name) && !covers(inserts, table_name)) {
      plan.added.push_back(table_name);
    }
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
  bool creates = false;
  const auto plan_one = [&](const std::string& publication, const char* operations,
                            const std::optional<PublicationInfo>& now,
                            const std::vector<Name>& wanted) {
    if (now) {
      const std::size_t before = plan.statements.size();
      plan_alter(sql, publication, *now, wanted, plan.statements);
      if (plan.statements.size() > before && !now->owned) {
        plan.lacks.push_back("does not own publication " + publication);
      }
    } else {
      creates = true;
      plan_create(sql, publication, operations, wanted, plan.statements);
    }
  };
  plan_one(name, "insert, update, delete, truncate", main, with_identity);
  plan_one(inserts_name, "insert, truncate", inserts, without);
  const ServerInfo server = server_info(sql);
  if (creates && !server.may_create_publication) {
    plan.lacks.push_back("has no CREATE on database " + server.database);
  }
  return plan;
}

void apply(pqxx::connection& sql, const PublicationPlan& plan) {
  if (plan.statements.empty()) return;
  pqxx::work work(sql);
  work.exec("SET LOCAL lock_timeout = '500ms'");
  for (const std::string& statement : plan.statements) work.exec(statement);
  work.commit();
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
