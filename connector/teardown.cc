// Drops what `run` has made and what it knows of its place: the slot and its marks, the
// publications whose COMMENT says that walferry made them, and the saved position. Never the
// stream: its records are the user's. What is not there is no error, so an interrupted teardown can
// be repeated.
//
// The slot goes first, since it is what fills a server's disk when nobody reads it, and it goes
// also while NATS is away. Until the saved position has gone too, `run` stops with 4 instead of
// beginning anew unnoticed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connector/attach.h"
#include "connector/interrupt.h"
#include "connector/marks.h"
#include "connector/poll_resume.h"
#include "connector/preconditions.h"
#include "connector/remedy.h"
#include "connector/session.h"
#include "connector/slotless.h"
#include "connector/stop.h"
#include "connector/terminal.h"
#include "connector/verbs.h"
#include "pg/conninfo.h"

namespace connector {
namespace {

class Teardown {
 public:
  explicit Teardown(const Config& config)
      : config_(config), slot_(config.source.slot), key_(position_key(config)) {}

  int run(bool yes) {
    look_at_postgres();
    look_at_nats();
    if (!slot_info_ && marks_.empty() && publications_.empty() && !saved_) {
      fmt::print("nothing to drop{}\n", nats_ ? "" : " in PostgreSQL");
      return conclude();
    }
    list();
    if (!yes && !confirmed()) {
      fmt::print("nothing was dropped\n");
      return static_cast<int>(Exit::failed);
    }
    drop();
    return conclude();
  }

 private:
  void look_at_postgres() {
    sql_ = attach_postgres(config_);
    if (config_.polls()) return look_for_writer();
    const pg::ServerInfo server = pg::server_info(*sql_);
    slot_info_ = pg::slot_info(*sql_, slot_);
    if (slot_info_) {
      const Findings strange = slot_findings(slot_, *slot_info_, server);
      for (const Finding& finding : strange) {
        fmt::print("{}: not walferry's, left alone\n", finding.detail);
      }
      if (!strange.empty()) slot_info_.reset();
    }
    if (slot_info_ && slot_info_->active) {
      throw Stop(Exit::precondition,
                 fmt::format("slot \"{}\" is in use by the session with pid {}", slot_,
                             slot_info_->active_pid),
                 fmt::format("stop the walferry that reads it; if it is none: SELECT "
                             "pg_terminate_backend({});",
                             slot_info_->active_pid));
    }
    marks_ = marks_of(*sql_, slot_);
    for (const Mark& mark : marks_) {
      if (mark.info.active) {
        throw Stop(Exit::precondition,
                   fmt::format("mark {} is in use by the session with pid {}", mark.name,
                               mark.info.active_pid),
                   "wait until that session has ended");
      }
    }
    for (const std::string& name :
         {config_.source.publication, pg::insert_publication(config_.source.publication)}) {
      const auto info = pg::publication_info(*sql_, name);
      if (info && info->ours) publications_.push_back(name);
    }
  }

  // Without a slot there is nothing of ours in PostgreSQL.
  void look_for_writer() {
    const auto writer = pg::advisory_lock_holder(*sql_, writer_lock_key(config_));
    if (!writer) return;
    throw Stop(Exit::precondition,
               fmt::format("the writer's lock of \"{}\" is held by the session with pid {}", slot_,
                           writer->pid),
               "stop the walferry that polls");
  }

  void look_at_nats() {
    try {
      nats_ = attach_nats(config_);
      saved_ = key_.get(*nats_).value.has_value();
      stream_ = publisher::stream_info(*nats_, config_.stream.name);
    } catch (const std::exception& error) {
      nats_.reset();
      nats_code_ = remedy_for(error).code;
      fmt::print("the saved position cannot be looked at: {}\n", one_line(error.what()));
    }
  }

  void list() const {
    fmt::print("to be dropped:\n");
    const auto line = [](const char* what, const std::string& which) {
      fmt::print("  {:<15} {}\n", what, which);
    };
    if (slot_info_) {
      line("slot", fmt::format("{} ({}), holds {} of WAL", slot_, pg::describe(config_.source.dsn),
                               human_bytes(slot_info_->retained_bytes)));
    }
    for (const Mark& mark : marks_) {
      line("mark", fmt::format("{} (slot {}), holds {} of WAL", mark.name, mark.slot,
                               human_bytes(mark.info.retained_bytes)));
    }
    for (const std::string& name : publications_) line("publication", name);
    if (saved_) {
      line("saved position", fmt::format("{} ({})", key_.name(), nats_->connected_url()));
    }
    if (stream_) {
      fmt::print("stream {} stays, with its {} messages\n", config_.stream.name,
                 human_number(stream_->messages));
    }
  }

  static bool confirmed() {
    if (!stdin_is_terminal()) {
      throw Stop(Exit::usage, "standard input is no terminal, so nobody can be asked",
                 "walferry teardown --yes");
    }
    fmt::print("drop? [y/N] ");
    std::fflush(stdout);
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
  }

  void drop() {
    if (slot_info_) {
      pg::drop_slot(*sql_, slot_);
      fmt::print("dropped slot {}\n", slot_);
    }
    for (const Mark& mark : marks_) {
      pg::drop_slot(*sql_, mark.slot);
      fmt::print("dropped mark {}\n", mark.name);
    }
    if (!config_.polls()) {
      pqxx::nontransaction work(*sql_);
      work.exec("SET lock_timeout = '2s'");
    }
    drop_publications();
    if (saved_) {
      if (config_.polls()) purge_archives();
      key_.purge(*nats_);
      shapes_key(config_).purge(*nats_);
      joined_key(config_).purge(*nats_);
      snapshots_key(config_).purge(*nats_);
      fmt::print("dropped the saved position {}\n", key_.name());
    }
    if (stream_ && stream_->messages > 0) {
      fmt::print("run begins anew with another stream, or in this one with --accept-gap\n");
    }
  }

  void drop_publications() {
    if (config_.polls()) return;
    for (const std::string& name : pg::drop_publications(*sql_, config_.source.publication)) {
      fmt::print("dropped publication {}\n", name);
    }
  }

  void purge_archives() {
    const auto text = key_.get(*nats_).value;
    if (!text) return;
    const PollWork work = parse_poll_work(parse_slotless_position(*text, "poll").work);
    for (const PollArchive& archive : work.archives) archive_key(config_, archive).purge(*nats_);
  }

  int conclude() const {
    if (!nats_) {
      fmt::print(
          "the saved position, if there is one, is still there: run teardown again when NATS "
          "answers\n");
      return static_cast<int>(nats_code_);
    }
    return static_cast<int>(Exit::done);
  }

  const Config& config_;
  const std::string slot_;
  const publisher::KeyValue key_;
  std::unique_ptr<pqxx::connection> sql_;
  std::unique_ptr<publisher::Connection> nats_;  // empty: it does not answer
  Exit nats_code_ = Exit::done;
  std::optional<pg::SlotInfo> slot_info_;
  std::vector<Mark> marks_;
  std::vector<std::string> publications_;
  bool saved_ = false;
  std::optional<publisher::StreamInfo> stream_;
};

}  // namespace

int teardown(const Config& config, const TeardownCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup, "stopped before all was taken down");
  return Teardown(config).run(command.yes);
}

}  // namespace connector
