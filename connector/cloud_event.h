// The headers that make a message a CloudEvent in binary mode, for publish.format = "cloudevents":
// docs/cloudevents.md. The body stays the JSON record.
// Facts: CloudEvents 1.0 and its NATS protocol binding 1.0.3 (section 3.1, "Binary Content Mode"):
// every attribute is a header ce-…, its value percent-encoded.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "publisher/types.h"

namespace connector {

// Space, ", % and every byte outside printable ASCII as %XX.
std::string escape_attribute(std::string_view value);

class CloudEvent {
 public:
  // What these headers can add to a message, names of tables at Postgres's longest.
  static constexpr std::uint64_t most_header_bytes = 1024;

  explicit CloudEvent(const std::string& slot);

  // Of all messages until the next call: the commit's time.
  void set_time(const std::string& iso_time) { time_ = iso_time; }

  // `kind` is what ce-type says behind walferry.change.: insert, update… `id` is the Nats-Msg-Id;
  // `subject` an escaped schema.table. Valid until the next call of anything.
  std::span<const publisher::Header> headers(std::string_view kind, const char* id,
                                             const std::string& subject);

 private:
  std::string source_;
  std::string type_;
  std::string time_;
  std::array<publisher::Header, 7> headers_;
};

}  // namespace connector
