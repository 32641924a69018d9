#include "connector/table_choice.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>

namespace connector {
namespace {

std::optional<std::size_t> place_of(const pg::Relation& relation, const std::string& name) {
  const auto found = std::find_if(relation.columns.begin(), relation.columns.end(),
                                  [&](const pg::Column& column) { return column.name == name; });
  if (found == relation.columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - relation.columns.begin());
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

TableChoice::TableChoice(const TableConfig& config, const pg::Relation& relation)
    : ops_(config.ops) {
  if (!config.columns.empty() || !config.exclude.empty() || !config.mask.empty()) {
    for (const pg::Column& column : relation.columns) {
      const auto mask = config.mask.find(column.name);
      columns_.push_back(
          {.shown = (config.columns.empty() || contains(config.columns, column.name)) &&
                    !contains(config.exclude, column.name),
           .mask = mask == config.mask.end() ? Mask::none : mask->second});
    }
  }
  for (const auto& [name, mask] : config.mask) {
    // A column that the server's list leaves out is not there to be masked.
    const bool listed = config.columns.empty() || contains(config.columns, name);
    if (listed && !place_of(relation, name)) unseen_.push_back(name);
  }
  for (const std::string& name : config.exclude) {
    if (!place_of(relation, name) && !contains(unseen_, name)) unseen_.push_back(name);
  }
  if (config.key.empty()) return;
  key_.emplace();
  for (const std::string& name : config.key) {
    const auto place = place_of(relation, name);
    if (!place) {
      missing_key_.push_back(name);
      continue;
    }
    key_->push_back(*place);
    if (!relation.columns[*place].key) uncovered_key_.push_back(name);
  }
}

bool TableChoice::publishes(Op op) const {
  switch (op) {
    case Op::insert: return ops_.insert;
    case Op::update: return ops_.update;
    case Op::remove: return ops_.remove;
    case Op::truncate: return ops_.truncate;
    case Op::snapshot: return true;
  }
  return true;
}

void append_masked(std::string& out, Mask mask, std::string_view text) {
  if (mask == Mask::redact) {
    out += "\"***\"";
    return;
  }
  constexpr const char* digits = "0123456789abcdef";
  std::array<unsigned char, SHA256_DIGEST_LENGTH> hash{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash.data());
  out += '"';
  for (const unsigned char byte : hash) {
    out += digits[byte >> 4U];
    out += digits[byte & 0xFU];
  }
  out += '"';
}

}  // namespace connector
