// Where the messages of an outbox go: a NATS subject in which values of the row stand.
//
//   template = token { "." token }
//   token    = { character | "{" column "}" }        events.{aggregate_type}.v1-{event_type}
//
// A value is escaped like a name (connector/subject.h): whatever the row holds, the subject has as
// many tokens as the template, and none of them is a wildcard. The first token is fixed, so that no
// row's value can lead into a subject that is somebody else's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connector/config.h"

namespace connector {

class SubjectTemplate {
 public:
  // `text` has passed check_subject_template().
  explicit SubjectTemplate(std::string_view text);

  // In their order; one that stands there twice, twice.
  const std::vector<std::string>& columns() const { return columns_; }
  // What the stream has to take: tokens with a column are `*`.
  const std::string& filter() const { return filter_; }

  // Appends the subject; `value` gives a column's text, nothing for NULL.
  using ValueOf = std::function<std::optional<std::string_view>(std::size_t column)>;
  void append(std::string& out, const ValueOf& value) const;

 private:
  std::vector<std::string> fixed_;  // one more than columns: what stands before, between, behind
  std::vector<std::string> columns_;
  std::string filter_;
};

// What a stream has to take for an outbox.
std::string outbox_filter(const OutboxConfig& config);

// What is wrong with it and what is allowed; "": nothing.
std::string check_subject_template(std::string_view text);

}  // namespace connector
