#include "pg/type_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "pg/builtin_types.h"
#include "pg/error.h"

namespace pg {
namespace {

// Postgres knows no such limit; deeper than this, a value is its text.
constexpr int deepest = 32;

bool same(const TypeShape& a, const TypeShape& b) {
  return a.kind == b.kind && a.base == b.base && a.modifier == b.modifier && a.type == b.type &&
         a.schema == b.schema && a.name == b.name && a.element == b.element &&
         a.delimiter == b.delimiter && a.gone == b.gone &&
         std::equal(a.fields.begin(), a.fields.end(), b.fields.begin(), b.fields.end(),
                    [](const TypeShape::Field& x, const TypeShape::Field& y) {
                      return x.name == y.name && x.shape == y.shape;
                    });
}

bool never_changes(TypeId type) {
  return builtin_type(type) != nullptr || element_of_builtin_array(type) != nullptr;
}

}  // namespace

// What a text looks like follows from the function that printed it: array_out's is an array.
// (int2vector has elements too, and is no array.)
std::optional<TypeRow> type_row(pqxx::connection& sql, TypeId type) {
  pqxx::nontransaction work(sql);
  const pqxx::result found = work.exec(fmt::format(R"(
    SELECT t.typtype, t.typbasetype, t.typtypmod, t.typelem, coalesce(e.typdelim, ',') AS delimiter,
           t.typrelid, n.nspname, pg_catalog.format_type(t.oid, NULL) AS name,
           t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc AS is_array,
           EXISTS (SELECT FROM pg_catalog.pg_depend d
                     JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
                    WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
                      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                      AND d.deptype = 'e' AND x.extname = 'hstore'
                      AND t.typname = 'hstore') AS is_hstore
      FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
     WHERE t.oid = {})",
                                                   type.value));
  if (found.empty()) return std::nullopt;
  const pqxx::row row = found[0];
  TypeRow info;
  info.type = row["typtype"].c_str()[0];
  info.schema = row["nspname"].c_str();
  info.name = row["name"].c_str();
  info.hstore = row["is_hstore"].as<bool>();
  if (info.type == 'd') {
    info.below = TypeId(row["typbasetype"].as<std::uint32_t>());
    info.modifier = row["typtypmod"].as<std::int32_t>();
  } else if (row["is_array"].as<bool>()) {
    info.array = true;
    info.below = TypeId(row["typelem"].as<std::uint32_t>());
    info.delimiter = row["delimiter"].c_str()[0];
  } else if (info.type == 'c') {
    const pqxx::result fields = work.exec(fmt::format(R"(
      SELECT attname, atttypid FROM pg_catalog.pg_attribute
       WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped ORDER BY attnum)",
                                                      row["typrelid"].as<std::uint32_t>()));
    for (const auto& field : fields) {
      info.fields.push_back(
          {.name = field[0].c_str(), .type = TypeId(field[1].as<std::uint32_t>())});
    }
  }
  return info;
}

// A transaction holds the lock on its own number until it is visible. The server does the waiting
// between two looks.
void wait_until_visible(pqxx::connection& sql, TransactionId xid) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  const std::string look = fmt::format(R"(
    SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_locks
                              WHERE locktype = 'transactionid' AND granted
                                AND mode = 'ExclusiveLock' AND transactionid = '{}'::xid)
                THEN (SELECT false FROM pg_catalog.pg_sleep(0.005)) ELSE true END)",
                                       xid.value);
  pqxx::nontransaction work(sql);
  while (!work.exec(look)[0][0].as<bool>()) {
    if (std::chrono::steady_clock::now() < deadline) continue;
    throw Error(
        fmt::format("transaction {} is committed, but not visible yet: it waits for a "
                    "synchronous standby, and what it changed cannot be looked up until then",
                    xid.value),
        "");
  }
}

TypeCatalog::TypeCatalog(Lookup lookup, std::function<void()> wait_until_visible)
    : lookup_(std::move(lookup)), wait_until_visible_(std::move(wait_until_visible)) {}

TypeCatalog::Entry& TypeCatalog::entry(TypeId type) {
  auto& slot = entries_[type.value];
  if (slot == nullptr) slot = std::make_unique<Entry>();
  return *slot;
}

const TypeShape* TypeCatalog::shape(TypeId type) { return resolve(type, 0); }

const TypeShape* TypeCatalog::resolve(TypeId type, int depth) {
  Entry& found = entry(type);
  if (!found.known) {
    found.shape = looked_up(type, found.announced, depth);
    found.known = true;
  }
  return &found.shape;
}

TypeShape TypeCatalog::looked_up(TypeId type, const std::string& announced, int depth) {
  TypeShape shape;
  shape.id = type;
  shape.base = type;
  shape.schema = "pg_catalog";
  if (const BuiltinType* scalar = builtin_type(type)) {
    shape.type = scalar->kind;
    shape.name = scalar->sql_name;
    return shape;
  }
  if (const BuiltinType* element = element_of_builtin_array(type)) {
    shape.kind = TypeShape::Kind::array;
    shape.name = fmt::format("{}[]", element->sql_name);
    shape.element = resolve(TypeId(element->type), depth + 1);
    shape.delimiter = element->delimiter;
    return shape;
  }
  std::optional<TypeRow> row = lookup_(type);
  if (!row && wait_until_visible_) {
    wait_until_visible_();
    row = lookup_(type);
  }
  if (!row) return without_structure(type, announced);
  shape.type = row->type;
  if (depth >= deepest) {
    // A scalar without a base: its text.
    shape.base = TypeId();
  } else if (row->type == 'd') {
    shape = *resolve(row->below, depth + 1);
    shape.id = type;
    if (row->modifier != -1) shape.modifier = row->modifier;
  } else if (row->array) {
    shape.kind = TypeShape::Kind::array;
    shape.element = resolve(row->below, depth + 1);
    shape.delimiter = row->delimiter;
  } else if (row->type == 'c') {
    shape.kind = TypeShape::Kind::composite;
    for (TypeRow::Field& field : row->fields) {
      shape.fields.push_back(
          {.name = std::move(field.name), .shape = resolve(field.type, depth + 1)});
    }
  } else if (row->hstore) {
    shape.kind = TypeShape::Kind::hstore;
  }
  shape.schema = std::move(row->schema);
  shape.name = std::move(row->name);
  return shape;
}

TypeShape TypeCatalog::without_structure(TypeId type, const std::string& announced) {
  TypeShape shape;
  shape.id = type;
  shape.gone = true;
  shape.schema = announced.substr(0, announced.find('.'));
  shape.name = announced.empty() ? fmt::format("type {}", type.value) : announced;
  warnings_.push_back(
      fmt::format("type {} (number {}) is not in the catalog any more: its values are published as "
                  "PostgreSQL's text",
                  announced.empty() ? "of unknown name" : announced, type.value));
  return shape;
}

void TypeCatalog::announced(TypeId type, std::string_view schema, std::string_view name) {
  Entry& found = entry(type);
  // Compared without a copy: it is said again with each Relation message.
  const std::string& known = found.announced;
  if (known.size() == schema.size() + 1 + name.size() && known.rfind(schema, 0) == 0 &&
      std::string_view(known).substr(schema.size() + 1) == name) {
    return;
  }
  const bool other = !known.empty();
  found.announced = fmt::format("{}.{}", schema, name);
  if (other && found.known) refresh(type);
}

bool TypeCatalog::refresh(TypeId type) {
  if (never_changes(type)) return false;
  if (wait_until_visible_) wait_until_visible_();
  return refresh(type, 0);
}

// Parts first: a domain copies the shape of what it is over.
bool TypeCatalog::refresh(TypeId type, int depth) {
  if (never_changes(type) || depth > deepest) return false;
  Entry& found = entry(type);
  if (!found.known || found.shape.gone) return false;
  bool changed = false;
  if (const std::optional<TypeRow> row = lookup_(type)) {
    if (row->below.value != 0) changed |= refresh(row->below, depth + 1);
    for (const TypeRow::Field& field : row->fields) changed |= refresh(field.type, depth + 1);
  }
  TypeShape now = looked_up(type, found.announced, depth);
  changed |= !same(found.shape, now);
  found.shape = std::move(now);
  return changed;
}

void TypeCatalog::refresh_composites() {
  std::vector<TypeId> composites;
  for (const auto& [id, entry] : entries_) {
    if (entry->known && entry->shape.kind == TypeShape::Kind::composite) {
      composites.emplace_back(id);
    }
  }
  for (const TypeId type : composites) refresh(type, 0);
}

std::vector<std::string> TypeCatalog::take_warnings() { return std::exchange(warnings_, {}); }

}  // namespace pg
