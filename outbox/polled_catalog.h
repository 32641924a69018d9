// What the catalog says of a table that is polled.
#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/pqxx>
#include <string>

#include "outbox/poller.h"

namespace outbox {

struct PolledTableInfo {
  char kind = 'r';            // as pg_class has it
  bool has_children = false;  // tables that inherit from it; partitions do not count
  std::uint32_t oid = 0;
  std::string xid_type;  // empty: there is no such column
  std::string xid_default;
  bool xid_not_null = false;
  bool xid_index = false;  // led by it, whole, valid
  bool id_unique = false;  // by an index of its own
  bool id_not_null = false;
  std::string id_type;
  bool id_compares = true;  // by the operators of pg_catalog: not a type of an extension
  bool may_use = false;     // its schema
  bool may_select = false;
  bool may_delete = false;
  bool hides_rows = false;  // a policy applies to this role
};

// Nothing when there is no such table. Throws what libpqxx throws.
std::optional<PolledTableInfo> polled_table_info(pqxx::connection& sql, const PolledTable& table);

}  // namespace outbox
