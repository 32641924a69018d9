// Which transactions a snapshot sees: the text of pg_current_snapshot(), "xmin:xmax:xip,xip…".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/types.h"

namespace pg {

class Visibility {
 public:
  static std::optional<Visibility> parse(std::string_view text);

  // Of a transaction that has committed. Transaction ids are compared as Postgres does: within two
  // thousand million of each other.
  bool sees(TransactionId committed) const;
  const std::string& text() const { return text_; }

  friend bool operator==(const Visibility&, const Visibility&) = default;

 private:
  std::string text_;
  std::uint32_t xmin_ = 0;
  std::uint32_t xmax_ = 0;
  std::vector<std::uint32_t> running_;
};

}  // namespace pg
