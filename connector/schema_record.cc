#include "connector/schema_record.h"

#include <fmt/format.h>

#include <algorithm>

#include "connector/json_value.h"
#include "connector/subject.h"

namespace connector {
namespace {

const char* identity_name(pg::ReplicaIdentity identity) {
  switch (identity) {
    case pg::ReplicaIdentity::primary: return "default";
    case pg::ReplicaIdentity::nothing: return "nothing";
    case pg::ReplicaIdentity::full: return "full";
    case pg::ReplicaIdentity::index: return "index";
  }
  return "";
}

}  // namespace

std::string schema_subject(const std::string& prefix, const pg::Relation& relation) {
  return fmt::format("{}._schema.{}.{}", prefix, escape_schema(relation.schema),
                     escape_token(relation.name));
}

std::string schema_record(const pg::Relation& relation, std::span<const std::size_t> key,
                          const std::vector<std::string>& types, pg::Lsn lsn) {
  std::string out = "{\"columns\":[";
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    const pg::Column& column = relation.columns[i];
    out += i == 0 ? "{\"name\":" : ",{\"name\":";
    append_json_string(out, column.name);
    out += ",\"type\":";
    if (types[i].empty()) {
      out += "null";
    } else {
      append_json_string(out, types[i]);
    }
    const bool in_key = std::find(key.begin(), key.end(), i) != key.end();
    out += fmt::format(",\"type_oid\":{},\"key\":{}}}", column.type.value, in_key);
  }
  out += fmt::format("],\"identity\":\"{}\",\"lsn\":\"{}\"}}", identity_name(relation.identity),
                     to_string(lsn));
  return out;
}

}  // namespace connector
