#include "pg/stream_spool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "pg/error.h"

namespace pg {
namespace {

constexpr std::size_t buffer_size = 256 << 10;

// What precedes each message in a file, in this machine's byte order: no other reads it.
struct Head {
  std::uint64_t lsn;
  std::uint64_t arrival;
  std::uint32_t xid;
  std::uint32_t length;
};

std::string why(int error) { return std::generic_category().message(error); }

// A name that is gone before anything is written. Where O_TMPFILE is not known (NFS, older overlay
// file systems) the kernel says so in one of several ways: any failure is tried again with a name.
int open_nameless(const std::string& dir) {
  const int fd = ::open(dir.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0 || errno == EMFILE || errno == ENFILE) return fd;
  std::string name = dir + "/walferry-spill-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

std::string default_spill_dir() {
  const char* chosen = std::getenv("TMPDIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
}

SpoolFile::SpoolFile(const std::string& dir) : dir_(dir), fd_(open_nameless(dir)) {
  if (fd_ < 0) fail("a file cannot be made");
}

SpoolFile::~SpoolFile() {
  if (fd_ >= 0) ::close(fd_);
}

SpoolFile::SpoolFile(SpoolFile&& other) noexcept
    : dir_(std::move(other.dir_)), fd_(std::exchange(other.fd_, -1)) {}

SpoolFile& SpoolFile::operator=(SpoolFile&& other) noexcept {
  std::swap(dir_, other.dir_);
  std::swap(fd_, other.fd_);
  return *this;
}

bool SpoolFile::in_memory() const {
  struct statfs status {};
  return ::fstatfs(fd_, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

void SpoolFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("a file cannot be written");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void SpoolFile::rewind() {
  if (::lseek(fd_, 0, SEEK_SET) != 0) fail("a file cannot be read back");
}

std::size_t SpoolFile::read(char* into, std::size_t size) {
  while (true) {
    const ssize_t got = ::read(fd_, into, size);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) fail("a file cannot be read back");
  }
}

void SpoolFile::fail(const char* doing) const {
  throw SpillError(fmt::format("in {}: {}: {}", dir_, doing, why(errno)));
}

SpoolReader::SpoolReader(SpoolFile file, std::vector<TransactionId> aborted)
    : file_(std::move(file)), aborted_(std::move(aborted)) {
  std::sort(aborted_.begin(), aborted_.end());
  file_.rewind();
}

bool SpoolReader::fill(std::size_t bytes) {
  if (filled_ - at_ >= bytes) return true;
  std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
  filled_ -= at_;
  at_ = 0;
  buffer_.resize(std::max(bytes, buffer_size));
  while (filled_ < bytes) {
    const std::size_t got = file_.read(buffer_.data() + filled_, buffer_.size() - filled_);
    if (got == 0 && filled_ == 0) return false;
    if (got == 0) throw SpillError("a transaction cannot be read back: its file is cut short");
    filled_ += got;
  }
  return true;
}

std::optional<SpooledMessage> SpoolReader::next() {
  while (fill(sizeof(Head))) {
    Head head{};
    std::memcpy(&head, buffer_.data() + at_, sizeof head);
    at_ += sizeof head;
    if (!fill(head.length)) throw SpillError("a transaction's file ends within a message");
    const std::string_view message(buffer_.data() + at_, head.length);
    at_ += head.length;
    if (std::binary_search(aborted_.begin(), aborted_.end(), TransactionId(head.xid))) continue;
    return SpooledMessage{.lsn = Lsn(head.lsn), .arrival = head.arrival, .message = message};
  }
  return std::nullopt;
}

void StreamSpool::start(const StreamStart& block) {
  if (block_) {
    throw ProtocolError(fmt::format("the stream of transaction {} begins within that of {}",
                                    block.xid.value, block_->value));
  }
  const bool known = transactions_.count(block.xid) > 0;
  if (known == block.first) {
    throw ProtocolError(fmt::format("the stream of transaction {} begins {}", block.xid.value,
                                    known ? "for a second time" : "with a later part"));
  }
  if (block.first)
    transactions_.emplace(block.xid, Transaction{SpoolFile(settings_.dir), 0, false, {}});
  block_ = block.xid;
}

void StreamSpool::add(std::string_view message, Lsn lsn, std::uint64_t arrival) {
  if (!block_) fail_outside_block("a part of a transaction");
  const InStream part = split_in_stream(message, *block_);
  const Head head{.lsn = lsn.value,
                  .arrival = arrival,
                  .xid = part.xid.value,
                  .length = static_cast<std::uint32_t>(part.tag.size() + part.rest.size())};
  Transaction& transaction = transactions_.at(*block_);
  take(transaction, sizeof head + head.length);
  transaction.messages |= part.tag == "M";
  pending_.append(reinterpret_cast<const char*>(&head), sizeof head);
  pending_.append(part.tag);
  if (part.rest.size() < buffer_size) {
    pending_.append(part.rest);
    if (pending_.size() >= buffer_size) flush();
  } else {
    flush();
    transaction.file.write(part.rest);
  }
}

void StreamSpool::stop() {
  if (!block_) fail_outside_block("Stream Stop");
  flush();
  block_.reset();
}

// Of a transaction or sub-transaction that never came there is nothing to drop.
void StreamSpool::abort(const StreamAbort& aborted) {
  if (block_) fail_outside_block("Stream Abort");
  const auto found = transactions_.find(aborted.xid);
  if (found == transactions_.end()) return;
  if (aborted.sub == aborted.xid) {
    used_ -= found->second.bytes;
    transactions_.erase(found);
    return;
  }
  if (found->second.messages) {
    throw AmbiguousStream(fmt::format(
        "transaction {} has rolled back to a savepoint, and PostgreSQL does not say which of its "
        "logical messages went with it",
        aborted.xid.value));
  }
  take(found->second, sizeof aborted.sub);
  found->second.aborted.push_back(aborted.sub);
}

SpoolReader StreamSpool::commit(TransactionId xid) {
  if (block_) fail_outside_block("Stream Commit");
  const auto found = transactions_.find(xid);
  if (found == transactions_.end()) {
    throw ProtocolError(
        fmt::format("transaction {} commits, and nothing of it was streamed", xid.value));
  }
  Transaction committed = std::move(found->second);
  transactions_.erase(found);
  used_ -= committed.bytes;
  return {std::move(committed.file), std::move(committed.aborted)};
}

void StreamSpool::take(Transaction& of, std::uint64_t bytes) {
  if (bytes > settings_.max_bytes - used_) {
    throw SpillError(fmt::format(
        "what has arrived of transactions in progress takes more than {} bytes ({} of them are in "
        "progress and spilled to {})",
        settings_.max_bytes, transactions_.size(), settings_.dir));
  }
  used_ += bytes;
  of.bytes += bytes;
}

void StreamSpool::flush() {
  transactions_.at(*block_).file.write(pending_);
  pending_.clear();
}

void StreamSpool::fail_outside_block(const char* what) const {
  throw ProtocolError(
      block_ ? fmt::format("{} within the stream of transaction {}", what, block_->value)
             : fmt::format("{} outside of a stream", what));
}

}  // namespace pg
