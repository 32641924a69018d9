#include "connector/poll_findings.h"

#include <fmt/format.h>

#include <utility>

#include "connector/outbox_findings.h"
#include "connector/polled_outbox.h"
#include "outbox/polled_catalog.h"

namespace connector {
namespace {

constexpr int any_version = 1'000'000;  // generated columns are read like others

class TableFindings {
 public:
  TableFindings(const outbox::PolledTable& table, bool removes,
                const std::optional<outbox::PolledTableInfo>& info)
      : table_(table),
        removes_(removes),
        info_(info),
        quoted_(quoted_identifier(table.schema) + "." + quoted_identifier(table.name)),
        readable_(readable_name(quoted_)) {}

  Findings make(const std::string& role) {
    if (!info_) {
      fail("does not exist",
           "psql -f outbox/schema.sql makes public.outbox; or correct outbox.table");
      return std::move(findings_);
    }
    if (info_->kind != 'r' && info_->kind != 'p') {
      fail("is no table", "name a table in outbox.table");
      return std::move(findings_);
    }
    if (info_->has_children) {
      fail("has tables that inherit from it, whose ids may be the same as its own",
           fmt::format("ALTER TABLE … NO INHERIT {}; or partition it", quoted_));
    }
    xid();
    id();
    rights(quoted_identifier(role));
    if (findings_.empty()) {
      findings_.push_back({Verdict::ok, "outbox " + readable_, "is polled", ""});
    }
    return std::move(findings_);
  }

 private:
  void fail(const std::string& what, const std::string& fix) {
    findings_.push_back(
        {Verdict::fail, "outbox " + readable_, fmt::format("outbox {} {}", readable_, what), fix});
  }

  void xid() {
    constexpr const char* expected = "pg_current_xact_id()";
    if (info_->xid_type.empty()) {
      fail(
          "has no column xid, which says when a row was committed",
          fmt::format("ALTER TABLE {0} ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();\n"
                      "CREATE INDEX ON {0} (xid);",
                      quoted_));
      return;
    }
    if (info_->xid_type != "xid8") {
      fail(fmt::format("has a column xid of type {}, and polling needs xid8", info_->xid_type),
           fmt::format("ALTER TABLE {0} DROP COLUMN xid;\nALTER TABLE {0} ADD COLUMN xid xid8 NOT "
                       "NULL DEFAULT pg_current_xact_id();\nCREATE INDEX ON {0} (xid);",
                       quoted_));
      return;
    }
    if (info_->xid_default != expected) {
      fail(fmt::format("has a column xid whose default is {}, not {}",
                       info_->xid_default.empty() ? "none" : info_->xid_default, expected),
           fmt::format("ALTER TABLE {} ALTER COLUMN xid SET DEFAULT pg_current_xact_id();",
                       quoted_));
    }
    if (!info_->xid_not_null) {
      fail("has a column xid that may be NULL: such rows would never be seen",
           fmt::format("UPDATE {0} SET xid = DEFAULT WHERE xid IS NULL;\nALTER TABLE {0} ALTER "
                       "COLUMN xid SET NOT NULL;",
                       quoted_));
    }
    if (!info_->xid_index) {
      fail("has no index on xid: each poll would read all of it",
           fmt::format("CREATE INDEX CONCURRENTLY ON {} (xid);", quoted_));
    }
  }

  void id() {
    const std::string column = quoted_identifier(table_.id);
    if (!info_->id_unique) {
      fail(fmt::format("has no unique index on {} alone: a batch could not be gone on with",
                       table_.id),
           fmt::format("ALTER TABLE {} ADD PRIMARY KEY ({});", quoted_, column));
    } else if (!info_->id_not_null) {
      fail(fmt::format("has a column {} that may be NULL", table_.id),
           fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL;", quoted_, column));
    } else if (!info_->id_compares) {
      fail(fmt::format("has an id of type {}, which is of an extension: its order is not known",
                       info_->id_type),
           "take an id of a type that PostgreSQL itself has (bigint, uuid, text, …)");
    } else if (info_->id_type != "bigint" && info_->id_type != "integer" &&
               info_->id_type != "smallint") {
      findings_.push_back(
          {Verdict::warn, "table " + readable_,
           fmt::format("outbox {} has an id of type {}: events that are found by one look are "
                       "published in the order of ids, which is not that of their commits",
                       readable_, info_->id_type),
           "take an id from a sequence (bigint GENERATED ALWAYS AS IDENTITY) where the order of "
           "one "
           "aggregate's events matters"});
    }
  }

  void rights(const std::string& role) {
    if (!info_->may_use) {
      fail("is in a schema that this role may not use",
           fmt::format("GRANT USAGE ON SCHEMA {} TO {};", quoted_identifier(table_.schema), role));
    }
    if (!info_->may_select) {
      fail("may not be read by this role", fmt::format("GRANT SELECT ON {} TO {};", quoted_, role));
    }
    if (removes_ && !info_->may_delete) {
      fail("may not be deleted from by this role, and delete_after_publish is on",
           fmt::format("GRANT DELETE ON {} TO {};", quoted_, role));
    }
    if (info_->hides_rows) {
      fail("has row security, which would hide rows from this role",
           fmt::format("ALTER ROLE {} BYPASSRLS;", role));
    }
  }

  const outbox::PolledTable& table_;
  const bool removes_;
  const std::optional<outbox::PolledTableInfo>& info_;
  const std::string quoted_;
  const std::string readable_;
  Findings findings_;
};

}  // namespace

Findings poll_findings(const Config& config, pqxx::connection& sql) {
  std::string role;
  {
    pqxx::nontransaction work(sql);
    role = work.exec("SELECT current_user")[0][0].c_str();
  }
  Findings findings;
  for (const PolledOutbox& outbox : polled_outboxes(config)) {
    const auto info = outbox::polled_table_info(sql, outbox.table());
    Findings found =
        TableFindings(outbox.table(), outbox.config().delete_after_publish, info).make(role);
    if (info)
      append(found, outbox_findings(outbox.config(), pg::TableInfo{},
                                    pg::table_columns(sql, info->oid), any_version));
    append(findings, std::move(found));
  }
  return findings;
}

}  // namespace connector
