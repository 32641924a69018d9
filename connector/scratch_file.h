// A file of items, written once from front to back and then read back the same way, for what is
// too much for memory. It has no name: however the process ends, nothing is left behind.
//
// One thread. Throws pg::SpillError when the disk does not take it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pg/stream_spool.h"

namespace connector {

class ScratchFile {
 public:
  struct Item {  // borrows
    std::string_view key;
    std::uint64_t order = 0;
    std::string_view value;
  };

  explicit ScratchFile(const std::string& dir) : file_(dir) {}

  void add(const Item& item);
  // Ends the writing; next() begins at the front.
  void rewind();
  // Once more from the front.
  void read_again();
  // False at the end. Else item() is valid until the next call.
  bool next();
  const Item& item() const { return item_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  bool fill(std::size_t bytes);

  pg::SpoolFile file_;
  std::string buffer_;  // writing: not written yet; reading: what was read
  std::size_t at_ = 0;  // of what is read
  std::uint64_t bytes_ = 0;
  Item item_;
};

}  // namespace connector
