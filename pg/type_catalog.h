// What types are: enough to turn Postgres's text of a value into a structure.
//
//   Relation message ─▶ type's number ─▶ TypeCatalog ─▶ TypeShape (a tree, leaves are scalars)
//
// WAL names a type by its number alone; what it is made of, only the catalog says, and the catalog
// speaks of now, not of the time of the change. What cannot change (the types that every server
// has, a domain's base, an array's element) is exact. A composite's fields can: whoever reads a
// value by them must be ready for a text that does not fit, call refresh() then, and fall back to
// the text. A type that is gone is a scalar: its text is all that can be known.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pg/types.h"

namespace pg {

// May be made by hand, too. A domain has the shape of what it is over, with its own id and name.
struct TypeShape {
  enum class Kind {
    scalar,     // also whatever has no structure that is known here
    array,      // text of array_out: {1,NULL,"a b"}
    composite,  // text of record_out: (1,,"a b")
    hstore,     // of the extension, whatever the schema: "a"=>"1", "b"=>NULL
  };
  struct Field {
    std::string name;
    const TypeShape* shape = nullptr;
  };

  TypeId id;
  Kind kind = Kind::scalar;
  TypeId base;                         // below all domains: says how a scalar's text looks
  std::int32_t modifier = -1;          // of a domain: what it adds to `base`, (10,2); -1: nothing
  char type = 'b';                     // pg_type.typtype of `base`: b, c, e(num), m, r, p
  std::string schema;                  // of the type itself
  std::string name;                    // format_type(): "character varying", "shop.mood[]"
  const TypeShape* element = nullptr;  // of an array
  char delimiter = ',';                // between an array's elements
  std::vector<Field> fields;           // of a composite, in order
  bool gone = false;                   // not in the catalog any more
};

// One type as the catalog has it.
struct TypeRow {
  struct Field {
    std::string name;
    TypeId type;
  };
  char type = 'b';             // typtype; 'd': `below` is what it is over
  TypeId below = {};           // of a domain its base, of an array its element
  std::int32_t modifier = -1;  // of a domain, to its base
  bool array = false;
  char delimiter = ',';  // of the element, where it is an array
  bool hstore = false;
  std::string schema = {};
  std::string name = {};
  std::vector<Field> fields = {};
};

// Nothing when there is no such type. Throws what pqxx throws.
std::optional<TypeRow> type_row(pqxx::connection& sql, TypeId type);

// A commit stands in WAL before others can see what it did, and when it waits for a synchronous
// standby that takes as long as the standby likes. Returns when the transaction, whose commit has
// been read from WAL, is visible to the next statement. Throws pg::Error (try again) after 2 s.
void wait_until_visible(pqxx::connection& sql, TransactionId xid);

class TypeCatalog {
 public:
  using Lookup = std::function<std::optional<TypeRow>(TypeId)>;

  // `lookup` is type_row() on the session's connection, or a test's table. A commit is in WAL
  // before others can see it; `wait_until_visible` returns when what has been read from WAL is
  // visible, and is called before it is concluded that a type is gone or has not changed.
  explicit TypeCatalog(Lookup lookup, std::function<void()> wait_until_visible = {});

  // Asks the server once for a type, and never for those that every server has. The pointer is
  // valid, and the address the same, as long as the catalog; refresh() changes what it points to.
  const TypeShape* shape(TypeId type);

  // What a Type message says: the name of a type (of a domain: of its base) that a Relation
  // message is about to use. A number that stands for another name than before is looked up anew.
  void announced(TypeId type, std::string_view schema, std::string_view name);

  // Looks up again everything that `type` is made of. True when something is different now.
  bool refresh(TypeId type);
  // The same for all composites that were ever asked for: their fields may have got other names.
  void refresh_composites();

  // What to tell the operator: types that are gone, each once, and what a user of shapes adds.
  void warn(std::string warning) { warnings_.push_back(std::move(warning)); }
  bool has_warnings() const { return !warnings_.empty(); }
  std::vector<std::string> take_warnings();

 private:
  struct Entry {
    TypeShape shape;
    std::string announced;  // schema.name; empty: never
    bool known = false;     // looked up
  };

  Entry& entry(TypeId type);
  const TypeShape* resolve(TypeId type, int depth);
  TypeShape looked_up(TypeId type, const std::string& announced, int depth);
  TypeShape without_structure(TypeId type, const std::string& announced);
  bool refresh(TypeId type, int depth);

  Lookup lookup_;
  std::function<void()> wait_until_visible_;
  std::unordered_map<std::uint32_t, std::unique_ptr<Entry>> entries_;
  std::vector<std::string> warnings_;
};

}  // namespace pg
