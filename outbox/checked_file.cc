#include "outbox/checked_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace outbox {
namespace {

constexpr std::string_view magic = "walferry";
constexpr std::uint32_t version = 1;
constexpr std::size_t head_size = 16;  // magic, version, kind
constexpr std::size_t block_head = 16;
constexpr std::size_t end_size = 24;

[[noreturn]] void fail_disk(const char* doing, const std::string& path) {
  throw DiskError(fmt::format("{} {}: {}", doing, path, std::generic_category().message(errno)));
}

// Word by word; every bit of a word reaches every bit of the sum.
std::uint64_t checksum(std::string_view bytes, std::uint64_t at) {
  constexpr std::uint64_t factor = 0x9E3779B97F4A7C15ULL;
  std::uint64_t sum = (bytes.size() ^ at * factor) + factor;
  const auto add = [&](std::uint64_t word) {
    sum = (sum ^ word) * factor;
    sum ^= sum >> 29U;
  };
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    add(word);
    bytes.remove_prefix(8);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, bytes.data(), bytes.size());
  add(rest);
  add(factor);
  return sum;
}

void put(std::string& out, std::uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::uint64_t number_at(const char* at) {
  std::uint64_t number = 0;
  std::memcpy(&number, at, sizeof number);
  return number;
}

std::string head_of(std::string_view kind) {
  std::string head(magic);
  head.append(reinterpret_cast<const char*>(&version), sizeof version);
  return head.append(kind);
}

}  // namespace

CheckedWriter::CheckedWriter(std::string path, std::string_view kind)
    : path_(std::move(path)), temporary_(path_ + ".new") {
  const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) fail_disk("making", temporary_);
  file_.reset(::fdopen(fd, "wb"));
  write(head_of(kind));
}

CheckedWriter::~CheckedWriter() {
  if (file_) ::unlink(temporary_.c_str());
}

void CheckedWriter::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
    fail_disk("writing", temporary_);
  }
  offset_ += bytes.size();
}

std::uint64_t CheckedWriter::add(std::string_view block) {
  last_ = offset_;
  ++blocks_;
  std::string head;
  put(head, block.size());
  put(head, checksum(block, last_));
  write(head);
  write(block);
  return last_;
}

void CheckedWriter::commit() {
  std::string end;
  put(end, last_);
  put(end, blocks_);
  put(end, checksum(end, offset_));
  write(end);
  if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) {
    fail_disk("writing", temporary_);
  }
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_disk("renaming", temporary_);
  file_.reset();
  sync_folder(path_.substr(0, path_.rfind('/')));
}

CheckedReader::CheckedReader(std::string path, std::string_view kind)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "rbe")) {
  if (!file_) {
    if (errno == ENOENT) throw FileError(fmt::format("{} is not there", path_));
    fail_disk("opening", path_);
  }
  struct stat status {};
  if (::fstat(::fileno(file_.get()), &status) != 0) fail_disk("reading", path_);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < head_size + end_size) fail("is cut short");
  std::string head(head_size, '\0');
  read(0, head.data(), head.size());
  if (!head.starts_with(magic)) fail("is none of walferry's");
  if (head != head_of(kind)) fail("is of another kind, or of another version of walferry");
  char end[end_size];
  end_ = size - end_size;
  read(end_, end, end_size);
  if (checksum({end, 16}, end_) != number_at(end + 16)) fail("is torn: its end is missing");
  last_ = number_at(end);
  blocks_ = number_at(end + 8);
  at_ = first_block();
}

std::uint64_t CheckedReader::first_block() const { return head_size; }

void CheckedReader::fail(const std::string& what) const {
  throw FileError(fmt::format("{} {}", path_, what));
}

void CheckedReader::read(std::uint64_t offset, char* to, std::size_t bytes) {
  if (offset != position_ && ::fseeko(file_.get(), static_cast<off_t>(offset), SEEK_SET) != 0) {
    fail_disk("reading", path_);
  }
  if (std::fread(to, 1, bytes, file_.get()) != bytes) {
    if (std::ferror(file_.get()) != 0) fail_disk("reading", path_);
    fail("is cut short");
  }
  position_ = offset + bytes;
}

std::string_view CheckedReader::next() {
  if (at_ >= end_) return {};
  char head[block_head];
  if (at_ + block_head > end_) fail("is torn");
  read(at_, head, block_head);
  const std::uint64_t size = number_at(head);
  if (size > end_ - at_ - block_head) fail("is torn");
  block_.resize(size);
  read(at_ + block_head, block_.data(), size);
  if (checksum(block_, at_) != number_at(head + 8)) {
    fail(fmt::format("is damaged: the block at {} is not what was written", at_));
  }
  at_ += block_head + size;
  return block_;
}

void CheckedReader::verify() {
  at_ = first_block();
  std::uint64_t blocks = 0;
  while (at_ < end_) {
    next();
    ++blocks;
  }
  if (blocks != blocks_) fail("is damaged: blocks are missing");
  at_ = first_block();
}

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_disk("opening", folder);
  const int result = ::fsync(fd);
  ::close(fd);
  if (result != 0) fail_disk("syncing", folder);
}

}  // namespace outbox
