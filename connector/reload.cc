#include "connector/reload.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "connector/coverage.h"
#include "connector/preconditions.h"
#include "connector/remedy.h"
#include "connector/server_choice.h"
#include "connector/stop.h"
#include "publisher/error.h"

namespace connector {
namespace {

template <class T>
void keep(std::vector<std::string>& kept, const char* key, T& next, const T& running) {
  if (next == running) return;
  next = running;
  kept.emplace_back(key);
}

void refuse(const std::exception& error) {
  const Remedy remedy = remedy_for(error);
  spdlog::error("the changed configuration is not taken, the old one stays: {}{}{}",
                one_line(error.what()), remedy.hint.empty() ? "" : ". What to do: ", remedy.hint);
}

// Servers that the new settings name must be those that hold the stream.
void require_same_nats(const Config& next, const Session& session) {
  publisher::Connection nats(nats_settings(next), [] {});
  const auto info = publisher::stream_info(nats, next.stream.name);
  if (info && info->created == session.saved.stream_created) return;
  throw Stop(Exit::precondition,
             fmt::format("nats.url leads to servers whose stream {} is another one, or that have "
                         "none",
                         next.stream.name),
             "a move to other servers needs a restart");
}

// As a start would.
void require_fit(const Config& running, const Config& next, Session& session) {
  const Coverage coverage = coverage_of(next, *session.sql);
  require(coverage.findings);
  require(filter_findings(next, *session.sql, coverage.resolved));
  require(spill_findings(next));
  require(payload_findings(next, session.nats->max_payload()));
  require(stream_findings(next, publisher::stream_info(*session.nats, next.stream.name)));
  if (next.nats != running.nats) require_same_nats(next, session);
}

}  // namespace

std::vector<std::string> keep_fixed(Config& next, const Config& running) {
  std::vector<std::string> kept;
  keep(kept, "source.dsn", next.source.dsn, running.source.dsn);
  keep(kept, "source.slot", next.source.slot, running.source.slot);
  keep(kept, "source.publication", next.source.publication, running.source.publication);
  keep(kept, "nats.domain", next.nats.domain, running.nats.domain);
  keep(kept, "stream.name", next.stream.name, running.stream.name);
  keep(kept, "stream.subject_prefix", next.stream.subject_prefix, running.stream.subject_prefix);
  keep(kept, "publish.order", next.publish.order, running.publish.order);
  return kept;
}

std::optional<Config> reload(const Config& running) {
  Config next;
  try {
    next = load_config(running.file);
  } catch (const ConfigError& error) {
    for (const std::string& problem : error.problems()) spdlog::error("{}", problem);
    spdlog::error("the changed configuration is not taken, the old one stays");
    return std::nullopt;
  }
  if (next.polls() != running.polls() || next.is_diff() != running.is_diff()) {
    spdlog::error(
        "the changed configuration is not taken, the old one stays: another capture needs "
        "a restart, with a stream and a slot name of its own");
    return std::nullopt;
  }
  const std::vector<std::string> kept = keep_fixed(next, running);
  if (!kept.empty()) {
    spdlog::warn("{} cannot change without a restart: the old value stays", fmt::join(kept, ", "));
  }
  if (next == running) {
    spdlog::info("{} has nothing new: looking at the tables again", running.file);
    return std::nullopt;
  }
  return next;
}

std::optional<Config> reload(const Config& running, Session& session) {
  std::optional<Config> next = reload(running);
  if (!next) return std::nullopt;
  try {
    require_fit(running, *next, session);
  } catch (const Stop& stop) {
    refuse(stop);
    return std::nullopt;
  } catch (const publisher::Error& error) {
    if (session.nats->lost()) throw;
    refuse(error);
    return std::nullopt;
  } catch (const pqxx::sql_error& error) {
    refuse(error);
    return std::nullopt;
  }
  spdlog::info("{} has changed: settling what is in flight, and going on with it", running.file);
  return next;
}

}  // namespace connector
