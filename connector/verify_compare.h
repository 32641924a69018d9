// Both sides, sorted by the names of rows, merged: what the stream folds to against what the table
// has.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "connector/external_sort.h"
#include "connector/row_entries.h"
#include "connector/row_fold.h"
#include "connector/verified_table.h"
#include "connector/verify_report.h"
#include "connector/verify_stream.h"

namespace connector {

// A row of the table as it is sorted: its record's `after`, in each format that is needed.
class TableRow {
 public:
  static void append(std::string& out, ChangeFormat format, std::string_view after);
  // Empty where the row was not written in this format.
  static std::string_view in(std::string_view bytes, ChangeFormat format);
  static std::string_view any(std::string_view bytes);
};

class Comparison {
 public:
  struct Rules {
    bool partial = false;         // only rows that occur in the stream
    bool hides_unknown = false;   // see RowFold
    std::function<void()> go_on;  // called with each row; throws where it should not
  };
  // All must live longer; the sorts are finished. `taken_along`: see RowEntries.
  Comparison(const std::vector<VerifiedTable>& tables, const std::vector<TableHistory>& histories,
             const FoldView& view, Rules rules, ExternalSort& stream_rows,
             ExternalSort* taken_along, ExternalSort& table_rows);

  // Compares the table's rows and reports each that differs. To be called for the tables in order,
  // each once; `result` has what is known before.
  void compare(std::size_t table, TableResult& result, VerifyReport& report);

 private:
  void judge(const VerifiedTable& table, std::string_view row_name, std::uint64_t times,
             std::string_view row, TableResult& result, VerifyReport& report);
  void judge_count(const VerifiedTable& table, std::string_view row_name, std::uint64_t times,
                   TableResult& result, VerifyReport& report);
  bool altered(std::string_view row, TableResult& result, RowDifference& difference) const;
  bool is_late(TableResult& result) const;

  const std::vector<VerifiedTable>& tables_;
  const std::vector<TableHistory>& histories_;
  const FoldView& view_;
  Rules rules_;
  RowEntries stream_rows_;
  ExternalSort& table_rows_;
  bool in_table_;
  FoldFloor floor_;
  RowFold fold_;
  std::string name_, row_;
};

}  // namespace connector
