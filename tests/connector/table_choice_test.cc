// What is hidden, masked or chosen as key, in one shape of a table and in its records.
#include "connector/table_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connector/record.h"
#include "tests/connector/type_table.h"

namespace connector {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Values = std::vector<pg::Value>;

constexpr pg::TypeId int4(23);
constexpr pg::TypeId text(25);

// "Id" and id, name, doc; id is the identity's.
pg::Relation relation(pg::ReplicaIdentity identity = pg::ReplicaIdentity::primary) {
  const bool full = identity == pg::ReplicaIdentity::full;
  pg::Relation made;
  made.id = pg::RelationId(7);
  made.schema = "public";
  made.name = "t";
  made.identity = identity;
  made.columns = {{.name = "Id", .type = int4, .key = full},
                  {.name = "id", .type = int4, .key = true},
                  {.name = "name", .type = text, .key = full},
                  {.name = "doc", .type = text, .key = full}};
  return made;
}

TypeTable table;
pg::TypeCatalog types = table.catalog();
StructuredValues values(types);

TableEncoder encoder(const TableConfig& config, const pg::Relation& shape) {
  return TableEncoder(shape, {"id"}, "cdc", values, TableChoice(config, shape));
}

void encode(const TableEncoder& encoder, std::string& out, const pg::Insert& change) {
  encoder.insert(out, change);
}
void encode(const TableEncoder& encoder, std::string& out, const pg::Update& change) {
  encoder.update(out, change);
}
void encode(const TableEncoder& encoder, std::string& out, const pg::Delete& change) {
  encoder.remove(out, change);
}

// From the key on.
template <class Change>
std::string record(const TableConfig& config, const Change& change,
                   pg::ReplicaIdentity identity = pg::ReplicaIdentity::primary) {
  std::string out;
  encode(encoder(config, relation(identity)), out, change);
  return out.substr(out.find("\"key\""));
}

const Values row{"1", "2", "Ann", pg::Unchanged{}};
const Values old{"1", "2", "Bob", "long"};
const Values null_row{pg::Null{}, "2", pg::Null{}, "d"};

TEST(TableChoice, OfNothingShowsEverything) {
  const TableChoice none;
  EXPECT_TRUE(none.shown(3));
  EXPECT_EQ(none.mask(3), Mask::none);
  EXPECT_FALSE(none.key());
  EXPECT_TRUE(none.publishes(Op::truncate));
}

TEST(TableChoice, ColumnsAndExcludeTellNamesByCase) {
  const pg::Insert insert{nullptr, null_row};
  EXPECT_EQ(record({.columns = {"Id", "doc"}}, insert),
            R"("key":{"id":2},"before":null,"after":{"Id":null,"doc":"d"})");
  EXPECT_EQ(record({.exclude = {"id", "name"}}, insert),
            R"("key":{"id":2},"before":null,"after":{"Id":null,"doc":"d"})");
}

TEST(TableChoice, HiddenColumnsAreNowhereButInTheKey) {
  const pg::Update full{nullptr, pg::OldRow::full, old, row};
  EXPECT_EQ(record({.exclude = {"id", "doc"}}, full, pg::ReplicaIdentity::full),
            R"("key":{"id":2},"before":{"Id":1,"name":"Bob"},"after":{"Id":1,"name":"Ann"})");
  const pg::Update by_key{nullptr, pg::OldRow::none, {}, row};
  EXPECT_EQ(record({}, by_key), R"("key":{"id":2},"before":null,"after":{"Id":1,"id":2,)"
                                R"("name":"Ann"},"unchanged":["doc"])");
  EXPECT_EQ(record({.exclude = {"doc"}}, by_key),
            R"("key":{"id":2},"before":null,"after":{"Id":1,"id":2,"name":"Ann"})");
}

TEST(TableChoice, MasksEveryPlaceOfAValueButNeverNull) {
  const std::string hash_of_2 = "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35";
  const TableConfig config{.mask = {{"id", Mask::hash}, {"name", Mask::redact}}};
  EXPECT_EQ(record(config, pg::Insert{nullptr, null_row}),
            R"("key":{"id":")" + hash_of_2 + R"("},"before":null,"after":{"Id":null,"id":")" +
                hash_of_2 + R"(","name":null,"doc":"d"})");
  EXPECT_EQ(record(config, pg::Delete{nullptr, pg::OldRow::full, old}, pg::ReplicaIdentity::full),
            R"("key":{"id":")" + hash_of_2 + R"("},"before":{"Id":1,"id":")" + hash_of_2 +
                R"(","name":"***","doc":"long"},"after":null)");
}

TEST(TableChoice, AMaskedValueNeedNotBeWhatItsTypeSays) {
  std::string out;
  append_masked(out, Mask::hash, "");
  EXPECT_EQ(out, R"("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")");
  const Values broken{"\xff\"", "2", pg::Null{}, pg::Null{}};
  EXPECT_EQ(record({.mask = {{"Id", Mask::redact}}}, pg::Insert{nullptr, broken}),
            R"("key":{"id":2},"before":null,"after":{"Id":"***","id":2,"name":null,"doc":null})");
}

TEST(TableChoice, AConfiguredKeyKeepsItsOrder) {
  const TableConfig config{.key = {"name", "Id"}};
  EXPECT_EQ(record(config, pg::Delete{nullptr, pg::OldRow::full, old}, pg::ReplicaIdentity::full)
                .substr(0, 28),
            R"("key":{"name":"Bob","Id":1},)");
}

TEST(TableChoice, SaysWhatTheShapeLacks) {
  const TableChoice choice({.exclude = {"gone"},
                            .mask = {{"lost", Mask::hash}, {"id", Mask::hash}},
                            .key = {"id", "name", "none"}},
                           relation());
  EXPECT_THAT(choice.unseen(), ElementsAre("lost", "gone"));
  EXPECT_THAT(choice.missing_key(), ElementsAre("none"));
  EXPECT_THAT(choice.uncovered_key(), ElementsAre("name"));
  const TableChoice full({.key = {"name"}}, relation(pg::ReplicaIdentity::full));
  EXPECT_THAT(full.uncovered_key(), IsEmpty());
  // The server's column list has left it out.
  const TableChoice listed({.columns = {"id"}, .mask = {{"lost", Mask::hash}}}, relation());
  EXPECT_THAT(listed.unseen(), IsEmpty());
}

TEST(TableChoice, PublishesTheChosenOperations) {
  const TableChoice choice({.ops = {.insert = false, .truncate = false}}, relation());
  EXPECT_FALSE(choice.publishes(Op::insert));
  EXPECT_TRUE(choice.publishes(Op::update));
  EXPECT_TRUE(choice.publishes(Op::remove));
  EXPECT_FALSE(choice.publishes(Op::truncate));
}

TEST(Record, OfAnInsertNamesValuesThatWereNotSent) {
  EXPECT_EQ(record({}, pg::Insert{nullptr, row}),
            R"("key":{"id":2},"before":null,"after":{"Id":1,"id":2,"name":"Ann"},)"
            R"("unchanged":["doc"])");
}

}  // namespace
}  // namespace connector
