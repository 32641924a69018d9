// Files that are either what was written, or known not to be: each begins with a magic and a
// version, each block has a checksum, and the end says how many blocks there are and where the last
// of them begins. A file that is torn, cut, altered or of another kind is a FileError, which names
// it; nothing of it is guessed.
//
//   file    magic version kind block… end
//   block   size checksum byte…
//   end     (offset of the last block, blocks) checksum
//
// Written under another name, synced, renamed, and its folder synced: under its own name it is
// whole, whenever the machine stops. Mode 0600: it holds what the table holds.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace outbox {

// The file is not what it must be.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The disk does not take it, or does not give it.
class DiskError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

class CheckedWriter {
 public:
  // `kind`: four letters. Written as `path`.new until commit().
  CheckedWriter(std::string path, std::string_view kind);
  ~CheckedWriter();  // without commit() nothing is left
  CheckedWriter(const CheckedWriter&) = delete;
  CheckedWriter& operator=(const CheckedWriter&) = delete;

  // Returns the block's offset.
  std::uint64_t add(std::string_view block);
  std::uint64_t bytes() const { return offset_; }
  // Under its name, and on the disk.
  void commit();

 private:
  void write(std::string_view bytes);
  std::string path_, temporary_;
  File file_;
  std::uint64_t offset_ = 0, last_ = 0, blocks_ = 0;
};

class CheckedReader {
 public:
  // Reads the head and the end.
  CheckedReader(std::string path, std::string_view kind);

  // The next block, checked; valid until the next call. Empty at the end.
  std::string_view next();
  void seek(std::uint64_t offset) { at_ = offset; }
  std::uint64_t offset() const { return at_; }  // of the next block
  std::uint64_t first_block() const;
  std::uint64_t last_block() const { return last_; }
  // Checks every block; then it stands at the first.
  void verify();

  const std::string& path() const { return path_; }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string path_;
  File file_;
  std::uint64_t at_ = 0, end_ = 0, last_ = 0, blocks_ = 0;
  std::uint64_t position_ = 0;  // of the file's own pointer
  std::string block_;
  void read(std::uint64_t offset, char* to, std::size_t bytes);
};

// What was renamed or removed in the folder is so after a stop of the machine too.
void sync_folder(const std::string& folder);

}  // namespace outbox
