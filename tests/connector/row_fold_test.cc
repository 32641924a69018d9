#include "connector/row_fold.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/connector/type_table.h"

namespace connector {
namespace {

using Kind = FoldEntry::Kind;

class RowFoldTest : public testing::Test {
 protected:
  RowFoldTest() {
    shape_.schema = "public";
    shape_.name = "t";
    shape_.columns = {{.name = "id", .type = pg::TypeId(23), .modifier = -1, .key = true},
                      {.name = "v", .type = pg::TypeId(25), .modifier = -1, .key = false},
                      {.name = "big", .type = pg::TypeId(25), .modifier = -1, .key = false}};
    table_.emplace(config_, TableConfig{}, pg::ReadTable{.id = {}, .schema = "public", .name = "t"},
                   shape_, std::vector<std::string>{}, values_, debezium_);
    fold_.begin(*table_, pg::Lsn());
  }

  void add(Kind kind, std::uint64_t lsn, const std::string& after,
           const std::string& unchanged = "", ChangeFormat format = ChangeFormat::json) {
    FoldEntry entry;
    entry.kind = kind;
    entry.format = format;
    entry.commit_lsn = pg::Lsn(lsn);
    entry.sequence = ++sequence_;
    entry.after = after;
    entry.unchanged = unchanged;
    std::string bytes;
    entry.append_to(bytes);
    fold_.add(FoldEntry::from(bytes));
  }
  std::string column(const char* name) const {
    const RowFold::Value value = fold_.column(name);
    switch (value.state) {
      case RowFold::Value::known: return std::string(value.text);
      case RowFold::Value::unchanged: return "unchanged";
      case RowFold::Value::omitted: return "omitted";
      default: return "absent";
    }
  }

  Config config_;
  TypeTable catalog_;
  pg::TypeCatalog types_ = catalog_.catalog();
  StructuredValues values_{types_};
  DebeziumValues debezium_;
  pg::Relation shape_;
  std::optional<VerifiedTable> table_;
  FoldView view_{*pg::Visibility::parse("100:110:100,105"), pg::Lsn(1000), 120};
  RowFold fold_{view_, false};
  std::uint64_t sequence_ = 0;
};

TEST_F(RowFoldTest, TheNewestRecordStands) {
  EXPECT_FALSE(fold_.occurs());
  add(Kind::insert, 1, R"({"id":1,"v":"a","big":"x"})");
  add(Kind::update, 2, R"({"id":1,"v":"b","big":"y"})");
  EXPECT_TRUE(fold_.present());
  EXPECT_EQ(column("v"), "\"b\"");
  EXPECT_EQ(fold_.sequence(), 2U);
  add(Kind::gone, 3, "");
  EXPECT_FALSE(fold_.present());
  EXPECT_TRUE(fold_.occurs());
  add(Kind::insert, 4, R"({"id":1,"v":null,"big":"z"})");
  EXPECT_EQ(column("v"), "null");
  EXPECT_EQ(fold_.whole(ChangeFormat::json), R"({"id":1,"v":null,"big":"z"})");
  EXPECT_EQ(fold_.whole(ChangeFormat::debezium), "");
}

TEST_F(RowFoldTest, UnchangedColumnsKeepWhatWasKnown) {
  add(Kind::insert, 1, R"({"id":1,"v":"a","big":"x"})");
  add(Kind::update, 2, R"({"id":1,"v":"b"})", R"(["big"])");
  add(Kind::update, 3, R"({"id":1,"v":"c"})", R"(["big"])");
  EXPECT_EQ(column("big"), "\"x\"");
  EXPECT_EQ(column("v"), "\"c\"");
  EXPECT_EQ(fold_.whole(ChangeFormat::json), "") << "not all of it is in one record";
  add(Kind::gone, 4, "");
  add(Kind::update, 5, R"({"id":1,"v":"moved here"})", R"(["big"])");
  EXPECT_EQ(column("big"), "unchanged") << "what was before is another row's";
  add(Kind::update, 6, R"({"id":1,"v":"d","big":"new"})");
  EXPECT_EQ(column("big"), "\"new\"");
  EXPECT_EQ(column("later"), "absent");
}

TEST_F(RowFoldTest, DebeziumsPlaceholderIsUnchanged) {
  add(Kind::insert, 1, R"({"id":1,"v":"a","big":"x"})");
  const std::string update = R"({"id":1,"v":"b","big":"__debezium_unavailable_value"})";
  add(Kind::update, 2, update, "", ChangeFormat::debezium);
  EXPECT_EQ(column("big"), "\"x\"");
  EXPECT_EQ(fold_.column("big").format, ChangeFormat::json);
  EXPECT_EQ(fold_.column("v").format, ChangeFormat::debezium);
  RowFold omitting(view_, true);
  omitting.begin(*table_, pg::Lsn());
  FoldEntry entry;
  entry.kind = Kind::update;
  entry.format = ChangeFormat::debezium;
  entry.after = update;
  omitting.add(entry);
  EXPECT_EQ(omitting.column("big").state, RowFold::Value::omitted);
}

TEST_F(RowFoldTest, ASnapshotsRowOlderThanWhatWasSeenIsIgnored) {
  add(Kind::insert, 10, R"({"id":1,"v":"a","big":""})");
  add(Kind::gone, 20, "");
  add(Kind::snapshot, 15, R"({"id":1,"v":"old","big":""})");
  EXPECT_FALSE(fold_.present());
  add(Kind::snapshot, 20, R"({"id":1,"v":"at the mark","big":""})");
  EXPECT_EQ(column("v"), "\"at the mark\"");
  fold_.begin(*table_, pg::Lsn(50));  // truncated at 50
  add(Kind::snapshot, 49, R"({"id":1,"v":"old","big":""})");
  EXPECT_FALSE(fold_.present());
  add(Kind::snapshot, 1001, R"({"id":1,"v":"read later","big":""})");
  EXPECT_FALSE(fold_.occurs());
}

// Records of one transaction each; the last one anchors the numbers.
TEST_F(RowFoldTest, OnlyWhatTheSnapshotSeesCounts) {
  struct Case {
    std::uint32_t xid;
    std::uint64_t lsn;
    bool sees, late;
  };
  const std::vector<Case> cases = {
      {99, 900, true, false},    {101, 901, true, false},
      {105, 902, false, true},    // waits for a standby, listed
      {112, 903, false, true},    // the same, beyond xmax
      {121, 904, true, false},    // that old it cannot be: unwound wrongly
      {105, 1001, false, false},  // committed after the snapshot
      {125, 1002, false, false}, {109, 1003, true, false}};
  std::vector<FoldEntry> entries;
  for (const Case& c : cases) {
    FoldEntry entry;
    entry.kind = Kind::update;
    entry.has_xid = true;
    entry.commit_lsn = pg::Lsn(c.lsn);
    entry.xid = view_.xids().follow(pg::TransactionId(c.xid));
    entries.push_back(entry);
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    EXPECT_EQ(view_.sees(entries[i]), cases[i].sees) << cases[i].xid;
    EXPECT_EQ(view_.is_late(entries[i]), cases[i].late) << cases[i].xid;
  }
}

TEST_F(RowFoldTest, EntriesSurviveTheirWayThroughBytes) {
  FoldEntry entry;
  entry.kind = Kind::snapshot;
  entry.format = ChangeFormat::debezium;
  entry.has_xid = true;
  entry.commit_lsn = pg::Lsn(0xFFFFFFFFFFFF);
  entry.xid = -5;
  entry.sequence = 77;
  entry.after = "{}";
  entry.unchanged = "[\"a\"]";
  entry.omitted = "[\"b\"]";
  std::string bytes;
  entry.append_to(bytes);
  const FoldEntry read = FoldEntry::from(bytes);
  EXPECT_EQ(read.kind, entry.kind);
  EXPECT_EQ(read.format, entry.format);
  EXPECT_EQ(read.has_xid, entry.has_xid);
  EXPECT_EQ(read.commit_lsn, entry.commit_lsn);
  EXPECT_EQ(read.xid, entry.xid);
  EXPECT_EQ(read.sequence, entry.sequence);
  EXPECT_EQ(read.after, entry.after);
  EXPECT_EQ(read.unchanged, entry.unchanged);
  EXPECT_EQ(read.omitted, entry.omitted);
}

}  // namespace
}  // namespace connector
