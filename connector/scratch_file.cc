#include "connector/scratch_file.h"

#include <algorithm>
#include <cstring>

#include "pg/error.h"

namespace connector {
namespace {

constexpr std::size_t buffer_size = 64 << 10;

// What precedes each item, in this machine's byte order: no other reads it.
struct Head {
  std::uint64_t order;
  std::uint64_t value_size;
  std::uint64_t key_size;
};

}  // namespace

void ScratchFile::add(const Item& item) {
  const Head head{
      .order = item.order, .value_size = item.value.size(), .key_size = item.key.size()};
  buffer_.append(reinterpret_cast<const char*>(&head), sizeof head);
  buffer_.append(item.key);
  buffer_.append(item.value);
  bytes_ += sizeof head + item.key.size() + item.value.size();
  if (buffer_.size() < buffer_size) return;
  file_.write(buffer_);
  buffer_.clear();
}

void ScratchFile::rewind() {
  file_.write(buffer_);
  std::string().swap(buffer_);
  file_.rewind();
  at_ = 0;
}

void ScratchFile::read_again() {
  buffer_.clear();
  file_.rewind();
  at_ = 0;
}

// So many bytes are there from at_ on; false at the end of the file.
bool ScratchFile::fill(std::size_t bytes) {
  if (buffer_.size() - at_ >= bytes) return true;
  buffer_.erase(0, at_);
  at_ = 0;
  std::size_t filled = buffer_.size();
  buffer_.resize(std::max(bytes, buffer_size));
  while (filled < bytes) {
    const std::size_t got = file_.read(buffer_.data() + filled, buffer_.size() - filled);
    if (got == 0) break;
    filled += got;
  }
  buffer_.resize(filled);
  if (filled >= bytes) return true;
  if (filled > 0) throw pg::SpillError("a scratch file is cut short");
  return false;
}

bool ScratchFile::next() {
  Head head{};
  if (!fill(sizeof head)) return false;
  std::memcpy(&head, buffer_.data() + at_, sizeof head);
  at_ += sizeof head;
  if (!fill(head.key_size + head.value_size) && head.key_size + head.value_size > 0) {
    throw pg::SpillError("a scratch file is cut short");
  }
  const std::string_view bytes(buffer_.data() + at_, head.key_size + head.value_size);
  item_ = {.key = bytes.substr(0, head.key_size),
           .order = head.order,
           .value = bytes.substr(head.key_size)};
  at_ += bytes.size();
  return true;
}

}  // namespace connector
