#include "connector/schema_record.h"

#include <fmt/format.h>

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

pg::Relation shown_of(const pg::Relation& relation, const TableEncoder& encoder) {
  pg::Relation shown = relation;
  shown.columns.clear();
  for (std::size_t i = 0; i < relation.columns.size(); ++i) {
    if (!encoder.shows(i)) continue;
    shown.columns.push_back(relation.columns[i]);
    shown.columns.back().key = encoder.is_key(i);
  }
  return shown;
}

std::string schema_record(const pg::Relation& shown, const std::vector<std::string>& types,
                          pg::Lsn lsn) {
  std::string out = "{\"columns\":[";
  for (std::size_t i = 0; i < shown.columns.size(); ++i) {
    const pg::Column& column = shown.columns[i];
    out += i == 0 ? "{\"name\":" : ",{\"name\":";
    append_json_string(out, column.name);
    out += ",\"type\":";
    if (types[i].empty()) {
      out += "null";
    } else {
      append_json_string(out, types[i]);
    }
    out += fmt::format(",\"type_oid\":{},\"key\":{}}}", column.type.value, column.key);
  }
  out += fmt::format("],\"identity\":\"{}\",\"lsn\":\"{}\"}}", identity_name(shown.identity),
                     to_string(lsn));
  return out;
}

}  // namespace connector
