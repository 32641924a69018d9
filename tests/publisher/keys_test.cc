#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "publisher/base64.h"
#include "publisher/error.h"
#include "publisher/nkey.h"

namespace publisher {
namespace {

TEST(Base64, DecodesTheVectorsOfTheRfc) {
  EXPECT_EQ(base64_decode(""), "");
  EXPECT_EQ(base64_decode("Zg=="), "f");
  EXPECT_EQ(base64_decode("Zm8="), "fo");
  EXPECT_EQ(base64_decode("Zm9v"), "foo");
  EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
  EXPECT_EQ(base64_decode("Zm9vYmE="), "fooba");
  EXPECT_EQ(base64_decode("Zm9vYmFy"), "foobar");
  EXPECT_EQ(base64_decode("AAH+/w=="), std::string("\0\1\xFE\xFF", 4));
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* text : {"Z", "Zg", "Zg=", "Zm9vZ", "Zm9!", "-_-_"}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
}

// The keys of RFC 8032, 7.1, "TEST 1", and of the bytes 0 to 31, encoded apart from this program:
// Python's base64.b32encode and binascii.crc_hqx, and Ed25519 as the RFC writes it.
constexpr const char* rfc_seed = "SUAJ2YNRTXX72WTAXKCEV5ES5QWMIRCJYVUXWMTJDFYDXLADDSXH6YALCA";
constexpr const char* rfc_public = "UDLVVGABQKYQVN6VJP7NHSLEA45A5YLS6PNKMIZFV4BBU2HXA5IRUVAL";
constexpr const char* counted_seed = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
constexpr const char* counted_public = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK";

class SeedFile : public testing::Test {
 protected:
  void TearDown() override { std::remove(path_.c_str()); }
  const std::string& with(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }

 private:
  std::string path_ = testing::TempDir() + "walferry_seed_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(SeedFile, GivesThePublicKey) {
  EXPECT_EQ(nkey_public(with(rfc_seed), "key"), rfc_public);
  EXPECT_EQ(nkey_public(with(counted_seed), "key"), counted_public);
}

TEST_F(SeedFile, MayHaveCommentsAndLineBreaksAround) {
  std::string file = "# my user\r\n-----BEGIN USER NKEY SEED-----\n";
  file.append(rfc_seed).append("\r\n------END USER NKEY SEED------\n").append(rfc_public);
  EXPECT_EQ(nkey_public(with(file + "\n"), "key"), rfc_public);
}

TEST_F(SeedFile, WithoutAValidSeedIsAnErrorThatDoesNotRepeatIt) {
  std::string mistyped = rfc_seed;
  mistyped[20] = mistyped[20] == 'A' ? 'B' : 'A';
  std::string shortened = rfc_seed;
  shortened.pop_back();
  for (const std::string& text :
       {std::string(), std::string("no seed"), std::string(rfc_public), mistyped, shortened}) {
    try {
      nkey_public(with(text), "key");
      FAIL() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.failure(), Failure::bad_settings);
      if (text.empty()) continue;
      EXPECT_EQ(std::string(error.what()).find(text), std::string::npos);
    }
  }
  EXPECT_THROW(nkey_public("/nonexistent/seed", "key"), Error);
}

}  // namespace
}  // namespace publisher
