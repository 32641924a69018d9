#include "outbox/table_state.h"

#include <utility>

#include "outbox/bytes.h"

namespace outbox {
namespace {

constexpr std::string_view kind = "stat";
constexpr std::size_t most_bytes = 1U << 20;  // of a block, but for one row

}  // namespace

StateWriter::StateWriter(const std::string& path, std::string_view head,
                         std::uint64_t rows_per_block)
    : file_(path, kind), rows_per_block_(rows_per_block) {
  file_.add(head);
}

void StateWriter::add(const StateRow& row, std::int64_t server_hash) {
  if (block_.rows >= rows_per_block_ || bytes_.size() >= most_bytes) flush();
  if (block_.rows == 0 && !std::exchange(has_begin_, false)) block_.begin = row.key;
  put_bytes(bytes_, row.key);
  put_fixed(bytes_, row.hash);
  put_number(bytes_, row.count);
  put_bytes(bytes_, row.text);
  block_.rows += row.count;
  block_.sum += static_cast<HashSum>(server_hash) * static_cast<HashSum>(row.count);
}

void StateWriter::begin_range(std::string_view begin) {
  flush();
  block_.begin = begin;
  has_begin_ = true;
}

void StateWriter::flush() {
  if (bytes_.empty()) return;
  block_.offset = file_.add(bytes_);
  rows_ += block_.rows;
  index_.push_back(std::move(block_));
  block_ = {};
  bytes_.clear();
}

void StateWriter::copy(const StateBlock& block, std::string_view bytes) {
  flush();
  has_begin_ = false;
  index_.push_back(block);
  index_.back().offset = file_.add(bytes);
  rows_ += block.rows;
}

void StateWriter::commit() {
  flush();
  std::string index;
  put_number(index, index_.size());
  for (const StateBlock& block : index_) {
    put_number(index, block.offset);
    put_bytes(index, block.begin);
    put_number(index, block.rows);
    put_fixed(index, block.sum);
  }
  file_.add(index);
  file_.commit();
}

StateReader::StateReader(const std::string& path) : file_(path, kind) {
  head_ = file_.next();
  file_.seek(file_.last_block());
  Bytes index(file_.next());
  std::uint64_t count = 0;
  bool good = index.number(count);
  for (std::uint64_t i = 0; good && i < count; ++i) {
    StateBlock block;
    std::string_view begin;
    good = index.number(block.offset) && index.bytes(begin) && index.number(block.rows) &&
           index.fixed(block.sum);
    block.begin = begin;
    rows_ += block.rows;
    index_.push_back(std::move(block));
  }
  if (!good || !index.empty()) file_.fail("is damaged: its index is none");
}

std::string_view StateReader::bytes(std::size_t block) {
  file_.seek(index_[block].offset);
  return file_.next();
}

void StateReader::begin(std::size_t from, std::size_t to) {
  block_ = from;
  end_ = to;
  rest_ = {};
}

bool StateReader::next() {
  if (rest_.empty()) {
    if (block_ >= end_) return false;
    rest_ = bytes(block_++);
  }
  Bytes in(rest_);
  if (!in.bytes(row_.key) || !in.fixed(row_.hash) || !in.number(row_.count) ||
      !in.bytes(row_.text)) {
    file_.fail("is damaged: a row is cut short");
  }
  rest_ = in.rest();
  return true;
}

}  // namespace outbox
