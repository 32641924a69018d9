// A catalog in memory: types by number, which a test may alter or drop.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "pg/type_catalog.h"

namespace connector {

struct TypeTable {
  std::map<std::uint32_t, pg::TypeRow> rows;
  int lookups = 0;
  int waits = 0;
  std::map<std::uint32_t, pg::TypeRow> appear_after_wait;

  pg::TypeCatalog catalog() {
    return pg::TypeCatalog(
        [this](pg::TypeId type) -> std::optional<pg::TypeRow> {
          ++lookups;
          const auto found = rows.find(type.value);
          if (found == rows.end()) return std::nullopt;
          return found->second;
        },
        [this] {
          ++waits;
          for (auto& [id, row] : appear_after_wait) rows[id] = row;
          appear_after_wait.clear();
        });
  }

  void domain(std::uint32_t id, const std::string& name, std::uint32_t over) {
    rows[id] = {.type = 'd', .below = pg::TypeId(over), .schema = "shop", .name = "shop." + name};
  }
  void scalar(std::uint32_t id, const std::string& name, char type = 'b') {
    rows[id] = {.type = type, .schema = "shop", .name = "shop." + name};
  }
  void hstore(std::uint32_t id) {
    rows[id] = {.hstore = true, .schema = "ext", .name = "ext.hstore"};
  }
  void array(std::uint32_t id, std::uint32_t of, char delimiter = ',') {
    rows[id] = {.below = pg::TypeId(of),
                .array = true,
                .delimiter = delimiter,
                .schema = "shop",
                .name = "shop.some[]"};
  }
  void composite(std::uint32_t id, const std::string& name,
                 const std::vector<std::pair<std::string, std::uint32_t>>& fields) {
    pg::TypeRow row{.type = 'c', .schema = "shop", .name = "shop." + name};
    for (const auto& [field, type] : fields) {
      row.fields.push_back({.name = field, .type = pg::TypeId(type)});
    }
    rows[id] = row;
  }
};

}  // namespace connector
