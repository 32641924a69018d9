// What `walferry verify` prints on standard output, for people or as lines of JSON. Values of rows
// are shown here and nowhere else: never in the log.
#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connector/stop.h"
#include "connector/terminal.h"

namespace connector {

// A row that is not the same on both sides. Values and rows are JSON.
struct RowDifference {
  enum class Kind { altered, missing, extra } kind = Kind::altered;
  struct Column {
    std::string name, table, stream;
  };
  std::string key;
  std::vector<Column> columns;  // that are altered
  std::string row;              // that is missing or extra
  // Of a table without a key: how often the row is there.
  std::optional<std::uint64_t> in_table, in_stream;
  std::uint64_t sequence = 0;  // of the stream's last message about it; 0: none
};

struct TableResult {
  std::uint64_t rows = 0;      // of the table
  std::uint64_t compared = 0;  // rows that are in one or both
  std::uint64_t altered = 0, missing = 0, extra = 0;
  std::uint64_t late = 0;  // differ by transactions that were written, and not yet visible
  // Values that were not compared, and why.
  std::uint64_t omitted = 0;                    // left out of a record for its size
  std::uint64_t unchanged = 0;                  // never in the stream: an update left them alone
  std::map<std::string, std::uint64_t> absent;  // by column: the row's last record has none
  std::vector<std::string> notes;               // whole sentences
  std::string unverified;                       // why nothing can be said; empty: it can

  std::uint64_t different() const { return altered + missing + extra; }
};

class VerifyReport {
 public:
  static constexpr std::size_t shown_rows = 20;  // of a table, as text

  VerifyReport(bool json, std::size_t name_width, std::FILE* out, const Palette& palette)
      : json_(json), name_width_(name_width), out_(out), palette_(palette) {}

  // The differences of a table come before its table().
  void difference(const std::string& table, const RowDifference& row);
  void table(const std::string& name, const TableResult& result);

  // 1: some rows differ; 3: for some nothing can be said.
  Exit code() const { return code_; }

 private:
  void json_difference(const std::string& table, const RowDifference& row);
  void json_table(const std::string& name, const TableResult& result);
  std::string text_of(const RowDifference& row) const;

  bool json_;
  std::size_t name_width_;
  std::FILE* out_;
  Palette palette_;
  std::string rows_;  // of the table that is compared
  std::size_t shown_ = 0;
  Exit code_ = Exit::done;
};

}  // namespace connector
