#include "pg/builtin_types.h"

#include <algorithm>
#include <array>

namespace pg {
namespace {

// By number, for the search.
constexpr std::array builtins = std::to_array<BuiltinType>({
    {16, 1000, 'b', ',', "boolean"},
    {17, 1001, 'b', ',', "bytea"},
    {18, 1002, 'b', ',', "\"char\""},
    {19, 1003, 'b', ',', "name"},
    {20, 1016, 'b', ',', "bigint"},
    {21, 1005, 'b', ',', "smallint"},
    {22, 1006, 'b', ',', "int2vector"},
    {23, 1007, 'b', ',', "integer"},
    {24, 1008, 'b', ',', "regproc"},
    {25, 1009, 'b', ',', "text"},
    {26, 1028, 'b', ',', "oid"},
    {27, 1010, 'b', ',', "tid"},
    {28, 1011, 'b', ',', "xid"},
    {29, 1012, 'b', ',', "cid"},
    {30, 1013, 'b', ',', "oidvector"},
    {114, 199, 'b', ',', "json"},
    {142, 143, 'b', ',', "xml"},
    {194, 0, 'b', ',', "pg_node_tree"},
    {600, 1017, 'b', ',', "point"},
    {601, 1018, 'b', ',', "lseg"},
    {602, 1019, 'b', ',', "path"},
    {603, 1020, 'b', ';', "box"},
    {604, 1027, 'b', ',', "polygon"},
    {628, 629, 'b', ',', "line"},
    {650, 651, 'b', ',', "cidr"},
    {700, 1021, 'b', ',', "real"},
    {701, 1022, 'b', ',', "double precision"},
    {718, 719, 'b', ',', "circle"},
    {774, 775, 'b', ',', "macaddr8"},
    {790, 791, 'b', ',', "money"},
    {829, 1040, 'b', ',', "macaddr"},
    {869, 1041, 'b', ',', "inet"},
    {1033, 1034, 'b', ',', "aclitem"},
    {1042, 1014, 'b', ',', "character"},
    {1043, 1015, 'b', ',', "character varying"},
    {1082, 1182, 'b', ',', "date"},
    {1083, 1183, 'b', ',', "time without time zone"},
    {1114, 1115, 'b', ',', "timestamp without time zone"},
    {1184, 1185, 'b', ',', "timestamp with time zone"},
    {1186, 1187, 'b', ',', "interval"},
    {1266, 1270, 'b', ',', "time with time zone"},
    {1560, 1561, 'b', ',', "bit"},
    {1562, 1563, 'b', ',', "bit varying"},
    {1700, 1231, 'b', ',', "numeric"},
    {1790, 2201, 'b', ',', "refcursor"},
    {2202, 2207, 'b', ',', "regprocedure"},
    {2203, 2208, 'b', ',', "regoper"},
    {2204, 2209, 'b', ',', "regoperator"},
    {2205, 2210, 'b', ',', "regclass"},
    {2206, 2211, 'b', ',', "regtype"},
    {2950, 2951, 'b', ',', "uuid"},
    {2970, 2949, 'b', ',', "txid_snapshot"},
    {3220, 3221, 'b', ',', "pg_lsn"},
    {3361, 0, 'b', ',', "pg_ndistinct"},
    {3402, 0, 'b', ',', "pg_dependencies"},
    {3614, 3643, 'b', ',', "tsvector"},
    {3615, 3645, 'b', ',', "tsquery"},
    {3642, 3644, 'b', ',', "gtsvector"},
    {3734, 3735, 'b', ',', "regconfig"},
    {3769, 3770, 'b', ',', "regdictionary"},
    {3802, 3807, 'b', ',', "jsonb"},
    {3904, 3905, 'r', ',', "int4range"},
    {3906, 3907, 'r', ',', "numrange"},
    {3908, 3909, 'r', ',', "tsrange"},
    {3910, 3911, 'r', ',', "tstzrange"},
    {3912, 3913, 'r', ',', "daterange"},
    {3926, 3927, 'r', ',', "int8range"},
    {4072, 4073, 'b', ',', "jsonpath"},
    {4089, 4090, 'b', ',', "regnamespace"},
    {4096, 4097, 'b', ',', "regrole"},
    {4191, 4192, 'b', ',', "regcollation"},
    {4451, 6150, 'm', ',', "int4multirange"},
    {4532, 6151, 'm', ',', "nummultirange"},
    {4533, 6152, 'm', ',', "tsmultirange"},
    {4534, 6153, 'm', ',', "tstzmultirange"},
    {4535, 6155, 'm', ',', "datemultirange"},
    {4536, 6157, 'm', ',', "int8multirange"},
    {4600, 0, 'b', ',', "pg_brin_bloom_summary"},
    {4601, 0, 'b', ',', "pg_brin_minmax_multi_summary"},
    {5017, 0, 'b', ',', "pg_mcv_list"},
    {5038, 5039, 'b', ',', "pg_snapshot"},
    {5069, 271, 'b', ',', "xid8"},
});
static_assert(std::is_sorted(builtins.begin(), builtins.end(),
                             [](const auto& a, const auto& b) { return a.type < b.type; }));

}  // namespace

const BuiltinType* builtin_type(TypeId type) {
  const auto* const found =
      std::lower_bound(builtins.begin(), builtins.end(), type.value,
                       [](const BuiltinType& one, std::uint32_t id) { return one.type < id; });
  return found != builtins.end() && found->type == type.value ? &*found : nullptr;
}

const BuiltinType* element_of_builtin_array(TypeId type) {
  if (type.value == 0) return nullptr;
  const auto* const found =
      std::find_if(builtins.begin(), builtins.end(),
                   [&](const BuiltinType& one) { return one.array == type.value; });
  return found != builtins.end() ? &*found : nullptr;
}

std::span<const BuiltinType> builtin_types() { return builtins; }

}  // namespace pg
