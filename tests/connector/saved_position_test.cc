#include "connector/saved_position.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "connector/stop.h"

namespace connector {
namespace {

SavedPosition example() {
  SavedPosition saved;
  saved.stream_created = "2026-11-23T10:00:00.123456789Z";
  saved.last = publisher::StreamSequence(18446744073709551615U);
  saved.tail = pg::Position{pg::Lsn(0xFEDCBA9876543210), 18446744073709551615U};
  saved.confirmed = pg::Lsn(0x16B3748);
  saved.origin = pg::Lsn(0x16B3000);
  saved.system_id = "7300000000000000001";
  saved.timeline = pg::Timeline(4294967295U);
  saved.settings = R"({"a":"\"quoted\" ä"})";
  saved.settings_from = publisher::StreamSequence(5);
  saved.accepted = publisher::StreamSequence(6);
  saved.rests_on = publisher::StreamSequence(7);
  saved.stored = pg::Lsn(0x16B3749);
  return saved;
}

TEST(SavedPosition, ComesBackAsItWas) {
  EXPECT_EQ(parse_saved_position(to_json(example())), example());
  EXPECT_EQ(parse_saved_position(to_json(SavedPosition())), SavedPosition());
}

TEST(SavedPosition, OfAnOlderVersionIsReadAndDoesNotSayWhatItRestsOn) {
  auto old = nlohmann::json::parse(to_json(example()));
  old.erase("rests_on");
  old.erase("stored");
  const SavedPosition saved = parse_saved_position(old.dump());
  EXPECT_EQ(saved.confirmed, example().confirmed);
  EXPECT_EQ(saved.rests_on, std::nullopt);
  EXPECT_FALSE(saved.stored.valid());
  EXPECT_EQ(parse_saved_position(to_json(saved)), saved);
}

TEST(SavedPosition, AnIntentComesBackAsOne) {
  SavedPosition intent;
  intent.intent = true;
  EXPECT_EQ(parse_saved_position(to_json(intent)), intent);
}

Exit refusal(const std::string& text) {
  try {
    parse_saved_position(text);
    return Exit::done;
  } catch (const Stop& stop) {
    EXPECT_FALSE(stop.hint().empty());
    return stop.code();
  }
}

TEST(SavedPosition, WithoutAnyOneFieldOrOfAnotherTypeIsLost) {
  const auto whole = nlohmann::json::parse(to_json(example()));
  for (const auto& [key, value] : whole.items()) {
    nlohmann::json without = whole;
    without.erase(key);
    const bool added_later = key == "rests_on" || key == "stored";
    EXPECT_EQ(refusal(without.dump()), added_later ? Exit::done : Exit::position_lost) << key;
    nlohmann::json other = whole;
    other[key] = nullptr;
    EXPECT_EQ(refusal(other.dump()), Exit::position_lost) << key;
  }
}

TEST(SavedPosition, BadValuesAreLostNotRead) {
  const auto whole = nlohmann::json::parse(to_json(example()));
  const nlohmann::json bad[] = {{{"last_seq", -1}},       {{"last_seq", 1.5}}, {{"tail", "0:0"}},
                                {{"confirmed", "16B37"}}, {{"origin", ""}},    {{"version", 2}}};
  for (const nlohmann::json& change : bad) {
    nlohmann::json changed = whole;
    changed.merge_patch(change);
    EXPECT_EQ(refusal(changed.dump()), Exit::position_lost) << change;
  }
  for (const char* text : {"", "null", "[]", "{}", "{\"version\":1", "\xFF"}) {
    EXPECT_EQ(refusal(text), Exit::position_lost) << text;
  }
}

TEST(PositionText, ComesBackAsItWas) {
  const pg::Position position{pg::Lsn(0x16B3748), 3};
  EXPECT_EQ(to_string(position), "00000000016B3748:3");
  EXPECT_EQ(parse_position("00000000016B3748:3"), position);
  for (const char* text : {"", "00000000016B3748", "00000000016B3748:", "00000000016B3748:-1",
                           "00000000016B3748:3x", "00000000016B3748: 3", "00000000016B374:3",
                           "00000000016B3748:18446744073709551616", "0000000001-B3748:3"}) {
    EXPECT_FALSE(parse_position(text)) << text;
  }
}

}  // namespace
}  // namespace connector
