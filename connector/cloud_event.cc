#include "connector/cloud_event.h"

namespace connector {

std::string escape_attribute(std::string_view value) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte > 0x20 && byte < 0x7F && c != '"' && c != '%') {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

CloudEvent::CloudEvent(const std::string& slot) : source_("/walferry/" + escape_attribute(slot)) {}

std::span<const publisher::Header> CloudEvent::headers(std::string_view kind, const char* id,
                                                       const std::string& subject) {
  type_.assign("walferry.change.");
  type_ += kind;
  headers_ = {{{"ce-specversion", "1.0"},
               {"ce-id", id},
               {"ce-source", source_.c_str()},
               {"ce-type", type_.c_str()},
               {"ce-subject", subject.c_str()},
               {"ce-time", time_.c_str()},
               {"ce-datacontenttype", "application/json"}}};
  return headers_;
}

}  // namespace connector
