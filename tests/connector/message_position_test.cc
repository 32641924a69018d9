// Places of messages: their order, and what a stored message's id and headers say of its place.
#include "connector/message_position.h"

#include <gtest/gtest.h>

#include <string>

namespace connector {
namespace {

constexpr pg::Position third{pg::Lsn(0x16B3748), 3};
constexpr pg::Position fourth{pg::Lsn(0x16B3748), 4};

TEST(MessagePosition, OrderIsTheOrderOfMessages) {
  const MessagePosition order[] = {{third, MessagePosition::schema},
                                   {third, 1},  // of the removal
                                   {third, 2},
                                   {third, MessagePosition::removal},
                                   {third, MessagePosition::removal + 1},
                                   {third, MessagePosition::removal + 2},
                                   third,
                                   {fourth, MessagePosition::schema},
                                   fourth};
  for (std::size_t i = 1; i < std::size(order); ++i) {
    EXPECT_LT(order[i - 1], order[i]) << i;
  }
}

TEST(MessagePosition, TextComesBack) {
  const std::pair<MessagePosition, std::string> texts[] = {
      {third, "00000000016B3748:3"},
      {{third, MessagePosition::schema}, "00000000016B3748:3:schema"},
      {{third, MessagePosition::removal + 2}, "00000000016B3748:3.2"},
      {{third, MessagePosition::removal}, "00000000016B3748:3:delete"},
      {{third, 2}, "00000000016B3748:3:delete.2"},
      {pg::Position{pg::Lsn(1), 0}, "0000000000000001:0"}};
  for (const auto& [position, text] : texts) {
    EXPECT_EQ(to_string(position), text);
    EXPECT_EQ(parse_message_position(text), position) << text;
  }
}

TEST(MessagePosition, OtherTextIsNone) {
  for (const std::string text :
       {"", "00000000016B3748", "00000000016B3748:", "00000000016B3748:3.", "00000000016B3748:3.0",
        "00000000016B3748:3.x", "00000000016B3748:3:", "00000000016B3748:3:schema2",
        "00000000016B3748:3:schema:schema", "0/16B3748:3", "00000000016B3748:-3",
        "00000000016B3748:3.1.2", "00000000016B3748:3:schema.1", "00000000016B3748:3:delete.0",
        "00000000016B3748:3:delete:schema", "00000000016B3748:3.2147483647",
        "00000000016B3748:3.1:delete", ":schema"}) {
    EXPECT_EQ(parse_message_position(text), std::nullopt) << text;
  }
}

TEST(MessagePosition, ARecordIsBegunAgainWhereItBegan) {
  const std::pair<std::uint32_t, std::uint32_t> cases[] = {
      {MessagePosition::schema, MessagePosition::schema},
      {2, MessagePosition::schema},
      {MessagePosition::removal, MessagePosition::removal},
      {MessagePosition::removal + 2, MessagePosition::removal},
      {MessagePosition::whole, MessagePosition::whole}};
  for (const auto& [part, before] : cases) {
    EXPECT_EQ(MessagePosition(third, part).before_its_record(), MessagePosition(third, before));
  }
}

struct Stored {
  std::string id;
  const char* position;
  const char* part;
  const char* parts;
  std::optional<MessagePosition> place;
};

TEST(MessagePosition, OfAStoredMessageComesFromIdAndHeaders) {
  const Stored cases[] = {
      {"00000000016B3748:3", nullptr, nullptr, nullptr, third},
      {"00000000016B3748:3:schema", "00000000016B3748:2", nullptr, nullptr,
       MessagePosition{third, MessagePosition::schema}},
      {"00000000016B3748:3.1", "00000000016B3748:2", "1", "2",
       MessagePosition{third, MessagePosition::removal + 1}},
      {"00000000016B3748:3:delete", "00000000016B3748:2", nullptr, nullptr,
       MessagePosition{third, MessagePosition::removal}},
      {"00000000016B3748:3:delete.1", "00000000016B3748:2", "1", "2", MessagePosition{third, 1}},
      {"00000000016B3748:3:delete.2", "00000000016B3748:2", "2", "2",
       MessagePosition{third, MessagePosition::removal}},
      {"00000000016B3748:3.2", "00000000016B3748:3", "2", "2", third},
      {"00000000016B3748:3", "00000000016B3748:4", nullptr, nullptr, fourth},  // a pack
      {"00000000016B3748:3", "00000000016B3748:2", nullptr, nullptr, std::nullopt},
      {"00000000016B3748:3", "nonsense", nullptr, nullptr, std::nullopt},
      {"7", nullptr, nullptr, nullptr, std::nullopt}};
  for (const Stored& stored : cases) {
    std::string text[3];
    const std::string* given[3] = {};
    const char* const raw[3] = {stored.position, stored.part, stored.parts};
    for (std::size_t i = 0; i < 3; ++i) {
      if (raw[i] == nullptr) continue;
      text[i] = raw[i];
      given[i] = &text[i];
    }
    EXPECT_EQ(stored_position(stored.id, given[0], given[1], given[2]), stored.place) << stored.id;
  }
}

}  // namespace
}  // namespace connector
