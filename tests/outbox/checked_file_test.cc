#include "outbox/checked_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace outbox {
namespace {

class CheckedFiles : public testing::Test {
 public:
  ~CheckedFiles() override { std::filesystem::remove_all(folder_); }

 protected:
  CheckedFiles() {
    std::string name = "/tmp/walferry-checked-XXXXXX";
    folder_ = mkdtemp(name.data());
    path_ = folder_ + "/file";
  }

  void write() const {
    CheckedWriter writer(path_, "test");
    writer.add("first");
    writer.add(std::string(1000, 'x'));
    writer.add("the last");
    writer.commit();
  }
  std::string bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  // Whether reading all of it finds nothing wrong.
  bool is_good() const {
    try {
      CheckedReader reader(path_, "test");
      reader.verify();
      return true;
    } catch (const FileError&) {
      return false;
    }
  }

  std::string folder_, path_;
};

TEST_F(CheckedFiles, GiveBackWhatWasWritten) {
  write();
  CheckedReader reader(path_, "test");
  EXPECT_EQ(reader.next(), "first");
  EXPECT_EQ(reader.next().size(), 1000U);
  EXPECT_EQ(reader.next(), "the last");
  EXPECT_TRUE(reader.next().empty());
  reader.seek(reader.last_block());
  EXPECT_EQ(reader.next(), "the last");
}

TEST_F(CheckedFiles, CutAnywhereAreNoFiles) {
  write();
  const std::string whole = bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(whole.substr(0, size));
    EXPECT_FALSE(is_good()) << "cut to " << size << " bytes";
  }
}

TEST_F(CheckedFiles, WithAnyBitAlteredAreNoFiles) {
  write();
  const std::string whole = bytes();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string altered = whole;
    altered[at] = static_cast<char>(static_cast<unsigned char>(altered[at]) ^ (1U << at % 8));
    put(altered);
    EXPECT_FALSE(is_good()) << "altered at " << at;
  }
}

TEST_F(CheckedFiles, OfAnotherKindOrMissingAreNoFiles) {
  EXPECT_FALSE(is_good());
  write();
  EXPECT_THROW(CheckedReader(path_, "tset"), FileError);
}

TEST_F(CheckedFiles, AreNotThereBeforeTheyAreWhole) {
  {
    CheckedWriter writer(path_, "test");
    writer.add("first");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace outbox
