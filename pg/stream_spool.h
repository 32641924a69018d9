// Where the parts of transactions wait that the server sends before they have committed: a file for
// each transaction, in the order of arrival, read back once it commits.
//
//   add() ──▶ pending ──▶ file of 731 ──▶ SpoolReader ──▶ one message at a time
//                         file of 740         less those of aborted sub-transactions
//
// Memory does not grow with a transaction: a buffer for writing, one for reading, four bytes for
// each aborted sub-transaction. Files have no name (O_TMPFILE, or unlinked at once), so that
// nothing is left whatever ends the process; nobody else can read them. They are never synced:
// after a crash the server sends all again.
//
// The disk cannot be waited for in the middle of a stream. What it does not take, and what exceeds
// the limit, is a SpillError; nothing is lost by it, since all that is spooled is sent again in a
// session without streaming.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pg/streaming.h"
#include "pg/types.h"

namespace pg {

struct SpoolSettings {
  std::string dir;
  std::uint64_t max_bytes = 0;  // of all transactions together
};

// $TMPDIR, else /var/tmp: never /tmp by itself, which is memory on many systems.
std::string default_spill_dir();

class SpoolFile {
 public:
  explicit SpoolFile(const std::string& dir);  // throws SpillError
  ~SpoolFile();
  SpoolFile(SpoolFile&& other) noexcept;
  SpoolFile& operator=(SpoolFile&& other) noexcept;

  bool in_memory() const;  // on a tmpfs

  void write(std::string_view bytes);  // at the end
  void rewind();
  std::size_t read(char* into, std::size_t size);  // 0 at the end only

 private:
  [[noreturn]] void fail(const char* doing) const;
  std::string dir_;
  int fd_ = -1;
};

// Borrowed until the reader's next call.
struct SpooledMessage {
  Lsn lsn;                    // as it came with the message
  std::uint64_t arrival = 0;  // as given to add()
  std::string_view message;   // of protocol 1
};

class SpoolReader {
 public:
  SpoolReader(SpoolFile file, std::vector<TransactionId> aborted);
  std::optional<SpooledMessage> next();

 private:
  bool fill(std::size_t bytes);  // so many are there from at_ on; false at the end of the file

  SpoolFile file_;
  std::vector<TransactionId> aborted_;  // sorted
  std::string buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
};

// A logical message comes with the number of its whole transaction, also where it belongs to a
// sub-transaction (pgoutput of 14 to 18 at least). So which messages a rolled back sub-transaction
// takes with it cannot be told.
//
// One thread. ProtocolError where the blocks contradict each other, SpillError where the disk or
// the limit does, AmbiguousStream where a sub-transaction is rolled back beside messages.
class StreamSpool {
 public:
  explicit StreamSpool(SpoolSettings settings) : settings_(std::move(settings)) {}

  void start(const StreamStart& block);
  void add(std::string_view message, Lsn lsn, std::uint64_t arrival);
  void stop();
  std::optional<TransactionId> in_block() const { return block_; }

  void abort(const StreamAbort& aborted);
  SpoolReader commit(TransactionId xid);  // and forgets the transaction

  std::uint64_t used() const { return used_; }
  std::size_t transactions() const { return transactions_.size(); }

 private:
  struct Transaction {
    SpoolFile file;
    std::uint64_t bytes = 0;
    bool messages = false;
    std::vector<TransactionId> aborted;
  };
  void take(Transaction& of, std::uint64_t bytes);
  void flush();
  [[noreturn]] void fail_outside_block(const char* what) const;

  SpoolSettings settings_;
  std::map<TransactionId, Transaction> transactions_;
  std::optional<TransactionId> block_;
  std::string pending_;  // of the transaction whose block is open
  std::uint64_t used_ = 0;
};

}  // namespace pg
