// The outbox pattern: a row that the application inserts beside its other changes is an event, and
// goes out as one, its payload to the byte, where its own columns say.
//
//   id              header Walferry-Event-Id, escaped like a name
//   {column} …      the subject (connector/subject_template.h)
//   payload         the body: text and json as Postgres prints them, bytea as its bytes, NULL empty
//   headers         JSON object or hstore: NATS headers, names and values escaped like names
//
// Whatever a row holds, it cannot bring a header of NATS's or of walferry's own into a message, nor
// hide one that is there (see guard_header()), nor one that the server would not take.
//
// A function of configuration and row alone: what is read again makes the same message. No I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connector/config.h"
#include "connector/subject_template.h"
#include "pg/change.h"

namespace connector {

struct OutboxEvent {
  std::string subject;
  std::string body;
  std::string event_id;  // for Walferry-Event-Id, escaped
  std::vector<std::pair<std::string, std::string>> headers;
};

class OutboxRouter {
 public:
  // What all headers of one event may take, as they go over the wire; and its subject, less what a
  // replay puts in front of it.
  static constexpr std::uint64_t most_header_bytes = 16ULL << 10;
  static constexpr std::uint64_t longest_subject = 2048;

  struct Column {
    std::string name;
    bool is_bytea = false;
  };
  // For rows of these columns.
  OutboxRouter(const OutboxConfig& config, std::span<const Column> columns);

  // Columns that are needed and not there; then no row can be routed.
  const std::vector<std::string>& missing() const { return missing_; }

  // The columns that rows are routed by, in their order; each once.
  std::vector<std::size_t> used() const;

  // Fills `event`, whose buffers are reused. Throws BadValue, which says what of the row is wrong.
  void route(pg::Row row, OutboxEvent& event) const;

 private:
  std::optional<std::size_t> find(std::span<const Column> columns, std::string_view name) const;
  std::size_t need(std::span<const Column> columns, std::string_view name);

  std::string prefix_;
  SubjectTemplate subject_;
  std::vector<std::size_t> subject_columns_;
  std::size_t id_ = 0;
  std::size_t payload_ = 0;
  bool payload_is_bytea_ = false;
  std::optional<std::size_t> headers_;
  std::vector<std::string> missing_;
};

// A logical message as an event: its content is a JSON object whose members are the columns.
// Throws BadValue.
void route_message(const OutboxConfig& config, std::string_view content, OutboxEvent& event);

// For logs: "outbox public.outbox", "outbox of messages \"events\"".
std::string outbox_name(const OutboxConfig& config);

// What of it shapes messages.
nlohmann::json outbox_settings(const OutboxConfig& config);

}  // namespace connector
