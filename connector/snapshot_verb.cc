// Asks the daemon for snapshots, through WAL, and shows what becomes of it, as the daemon saves it:
// snapshot_order.h. Whoever watches may go away; what was asked for stays.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "connector/attach.h"
#include "connector/config_values.h"
#include "connector/interrupt.h"
#include "connector/preconditions.h"
#include "connector/session.h"
#include "connector/snapshot_progress.h"
#include "connector/snapshot_watch.h"
#include "connector/stop.h"
#include "connector/table_selection.h"
#include "connector/verbs.h"
#include "pg/publication.h"
#include "pg/sql_session.h"
#include "pg/where_check.h"

namespace connector {
namespace {

using Action = SnapshotOrder::Action;

constexpr std::size_t most_tables = 200;
constexpr std::size_t longest_where = 8192;

class Asker {
 public:
  Asker(const Config& config, const SnapshotCommand& command, Wakeup& wakeup)
      : config_(config), command_(command), wakeup_(wakeup), selection_(config) {}

  int run() {
    sql_ = attach_postgres(config_);
    session_.emplace(pg::SqlSession::open(config_.source.dsn));
    require_slot();
    SnapshotOrder order{.action = command_.action,
                        .slot = config_.source.slot,
                        .id = random_hex(8),
                        .tables = {},
                        .where = command_.where};
    for (const std::string& name : command_.tables) {
      const TableConfig table = parse_table_name(name);
      order.tables.emplace_back(table.schema, table.table);
    }
    require_few(order);
    if (command_.action == Action::snapshot) require_readable(order);
    auto nats = attach_nats(config_);
    emit(signed_order(order, secret(*nats)));
    SnapshotWatch watch(config_, std::move(sql_), std::move(nats), wakeup_);
    return watch.follow(order.id, command_.wait && command_.action == Action::snapshot);
  }

 private:
  void require_slot() {
    if (pg::server_info(*sql_).in_recovery) {
      throw Stop(Exit::precondition,
                 "this server is a standby: what is asked for goes through WAL, which its primary "
                 "writes",
                 "name the primary in source.dsn");
    }
    if (!pg::slot_info(*sql_, config_.source.slot)) {
      throw Stop(Exit::precondition,
                 fmt::format("slot \"{}\" does not exist yet: nobody would read what is asked for",
                             config_.source.slot),
                 "`walferry run` makes it");
    }
  }

  void require_few(const SnapshotOrder& order) const {
    if (order.tables.size() > most_tables) {
      throw Stop(Exit::usage,
                 fmt::format("{} tables at once: at most {} go into one request",
                             order.tables.size(), most_tables),
                 "ask for the others afterwards");
    }
    if (order.where.size() > longest_where) {
      throw Stop(Exit::usage,
                 fmt::format("the condition of --where has {} bytes: at most {} go into a request",
                             order.where.size(), longest_where),
                 "put what it says into a function or a view that it names");
    }
  }

  // Every problem at once.
  void require_readable(const SnapshotOrder& order) {
    const auto resolved = selection_.resolve(*sql_).tables;
    for (const auto& named : order.tables) {
      const auto& [schema, table] = named;
      const std::string name = readable_name(quoted_name(schema, table));
      const TableConfig* const chosen = selection_.find(schema, table);
      if (chosen != nullptr && chosen->outbox) {
        usage_.push_back(
            fmt::format("table {} is an outbox: its rows are events, published once each", name));
        add_way("name tables that are captured as tables");
        continue;
      }
      if (chosen == nullptr) {
        usage_.push_back(fmt::format("table {} is not captured by this configuration", name));
        add_way("add a [[table]] for it, and let the daemon read that (SIGHUP)");
        continue;
      }
      const bool there =
          std::any_of(resolved.begin(), resolved.end(), [&named](const pg::TableInfo& info) {
            return info.schema == named.first && info.name == named.second;
          });
      const auto described = pg::snapshot_table(*session_, schema, table, publications());
      if (!described) {
        missing_.push_back(fmt::format("there is no table {}", name));
        add_way("walferry check names the tables that there are");
      } else if (!there) {
        missing_.push_back(fmt::format("table {} is not read by itself", name));
        add_way("a partition is read through its root: name that");
      } else if (!described->published) {
        missing_.push_back(fmt::format("table {} is in none of walferry's publications", name));
        add_way(
            "the daemon adds it within a minute, and at SIGHUP; walferry check says what it "
            "lacks");
      } else if (!order.where.empty() && described->key.empty()) {
        usage_.push_back(
            fmt::format("table {} has no key, so it is read whole, and what came of "
                        "it before is void: a part of it cannot be read alone",
                        name));
        add_way("leave --where out, or give the table a primary key");
      } else {
        require_condition(name, *described, order.where);
      }
    }
    std::vector<std::string> all = usage_;
    all.insert(all.end(), missing_.begin(), missing_.end());
    if (all.empty()) return;
    throw Stop(usage_.empty() ? Exit::precondition : Exit::usage,
               fmt::format("{}", fmt::join(all, "; ")), fmt::format("{}", fmt::join(ways_, "; ")));
  }

  void require_condition(const std::string& name, const pg::SnapshotTable& table,
                         const std::string& where) {
    if (const std::string problem = pg::where_problem(*session_, table, ""); !problem.empty()) {
      missing_.push_back(fmt::format("table {} cannot be read: {}", name, problem));
      add_way("walferry check prints what walferry's role lacks");
    } else if (const std::string wrong = pg::where_problem(*session_, table, where);
               !wrong.empty()) {
      usage_.push_back(fmt::format("--where does not fit table {}: {}", name, wrong));
      add_way(
          "--where takes one condition of SQL on the table's columns; functions outside "
          "pg_catalog want their schema's name before them");
    }
  }

  void add_way(const std::string& way) {
    if (std::find(ways_.begin(), ways_.end(), way) == ways_.end()) ways_.push_back(way);
  }

  std::vector<std::string> publications() const {
    const std::string& name = config_.source.publication;
    return {name, pg::insert_publication(name)};
  }

  // One that has just made its slot is about to save it.
  std::string secret(publisher::Connection& nats) const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (true) {
      const publisher::KeyValueEntry entry = snapshots_key(config_).get(nats);
      std::string secret;
      if (entry.value) secret = SnapshotProgress::parse(*entry.value).secret;
      if (!secret.empty()) return secret;
      const auto slot = pg::slot_info(*sql_, config_.source.slot);
      if (!slot || !slot->active || std::chrono::steady_clock::now() >= deadline ||
          wakeup_.stop_requested()) {
        break;
      }
      wakeup_.wait_for(std::chrono::milliseconds(200));
    }
    throw Stop(Exit::precondition,
               fmt::format("no walferry that knows this verb has read slot \"{}\" yet, so nothing "
                           "can be asked of it",
                           config_.source.slot),
               "start `walferry run` once, then ask again");
  }

  // In a transaction of its own that has an id: else the slot would get it only with later WAL.
  void emit(const std::string& content) {
    session_->exec(
        fmt::format("BEGIN; SET LOCAL synchronous_commit = local; SELECT pg_current_xact_id();"
                    "SELECT pg_logical_emit_message(false, {}, {}); COMMIT",
                    pg::quote_text(snapshot_order_prefix), pg::quote_text(content)));
  }

  const Config& config_;
  const SnapshotCommand& command_;
  Wakeup& wakeup_;
  TableSelection selection_;
  std::unique_ptr<pqxx::connection> sql_;
  std::optional<pg::SqlSession> session_;
  std::vector<std::string> usage_, missing_, ways_;
};

}  // namespace

int snapshot(const Config& config, const SnapshotCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup);
  return Asker(config, command, wakeup).run();
}

}  // namespace connector
