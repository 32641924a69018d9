// What the encoder costs a row: the eight columns of `./dev bench`, from their texts, as the
// decoder hands them on, to the finished record; and values of structured types on their own.
// Decoding pgoutput's message is not in it.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "connector/record.h"
#include "pg/type_catalog.h"

namespace {

using pg::TypeId;

// As tests/bench/workloads.py makes them.
pg::Relation orders() {
  pg::Relation relation;
  relation.id = pg::RelationId(16384);
  relation.schema = "public";
  relation.name = "orders";
  relation.columns = {{.name = "id", .type = TypeId(20), .key = true},
                      {.name = "customer_id", .type = TypeId(20)},
                      {.name = "status", .type = TypeId(25)},
                      {.name = "amount", .type = TypeId(1700)},
                      {.name = "created_at", .type = TypeId(1184)},
                      {.name = "paid", .type = TypeId(16)},
                      {.name = "sku", .type = TypeId(25)},
                      {.name = "note", .type = TypeId(25)}};
  return relation;
}

const std::vector<pg::Value>& order() {
  static constexpr std::string_view note =
      "note to \"123456\": e10adc3949ba59abbe56e057f20f883e 2e92962c0b6996add9517e4242ea9bdc "
      "a5e3c2e5a7a5bd1b7ba6";
  static const std::vector<pg::Value> row = {
      "123456", "29664",          "shipped", "54673.71", "2026-01-02 10:38:10.56+00",
      "t",      "SKU-e10adc3949", note};
  return row;
}

void orders_row(benchmark::State& state) {
  pg::TypeCatalog types([](TypeId) { return std::nullopt; });
  connector::StructuredValues values(types);
  const connector::TableEncoder table(orders(), {}, "cdc", values);
  connector::TransactionEncoder transaction;
  transaction.begin({.commit_lsn = pg::Lsn(0x16B3748), .commit_time = {1}, .xid = {}});
  std::string out;
  std::uint64_t ordinal = 0;
  for (auto step : state) {
    (void)step;
    out.clear();
    table.insert(out, pg::Insert{.relation = nullptr, .row = order()});
    transaction.append_position(out, pg::Lsn(0x16B3720), ++ordinal);
    transaction.append_end(out, false);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(out.size()) * state.iterations());
}
BENCHMARK(orders_row);

void value(benchmark::State& state, std::uint32_t type, const std::string& text) {
  pg::TypeCatalog types([](TypeId id) -> std::optional<pg::TypeRow> {
    if (id != TypeId(16400)) return std::nullopt;
    return pg::TypeRow{
        .type = 'c',
        .schema = "public",
        .name = "public.item",
        .fields = {{.name = "sku", .type = TypeId(25)}, {.name = "count", .type = TypeId(23)}}};
  });
  connector::StructuredValues values(types);
  const pg::TypeShape* shape = types.shape(TypeId(type));
  std::string out;
  for (auto step : state) {
    (void)step;
    out.clear();
    values.append(out, *shape, text);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK_CAPTURE(value, eight_ints, 1007, "{1,2,3,44,555,6666,77777,888888}");
BENCHMARK_CAPTURE(value, four_texts, 1009, R"({new,"to be paid","a \"quoted\" one",NULL})");
BENCHMARK_CAPTURE(value, composite, 16400, R"(("SKU e10adc3949",12))");

}  // namespace

BENCHMARK_MAIN();
