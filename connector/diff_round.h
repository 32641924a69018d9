// One round: the tables that are due, under one snapshot of the database, against their states.
//
//   lock ─▶ snapshot, its LSN ─▶ each table: sums, or rows ─▶ merge ─▶ {LSN}.{n}.state
//                                                              └────▶ {LSN}.round
//
// A table whose sums are those of its state is not read. Of one with an integer key only the ranges
// are read whose sums differ, or of which no sum was asked for (connector/diff_sums.h), unless they
// are so many that reading all of it is cheaper.
//
// Nothing of a round is published before all of it is on the disk, so it may fail anywhere.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <pqxx/pqxx>
#include <set>
#include <string>
#include <vector>

#include "connector/config.h"
#include "connector/diff_encoder.h"
#include "connector/diff_messages.h"
#include "connector/diff_schedule.h"
#include "connector/diff_state.h"
#include "connector/diff_store.h"
#include "connector/diff_work.h"
#include "outbox/diff_table.h"
#include "outbox/table_state.h"
#include "pg/sql_session.h"

namespace connector {

class DiffRound {
 public:
  // `before`: what the round before left; nullptr: there was none. `tick` is called often, and may
  // throw.
  DiffRound(const Config& config, const DiffStore& store, pqxx::connection& sql,
            pg::SqlSession& reader, const DiffManifest* before, std::function<void()> tick);

  // Tables of the manifest that are not in `captured` are forgotten by it. `last`: the round's LSN
  // will be above. Returns the manifest when there is something new: a record, or a state.
  std::optional<DiffManifest> run(const std::vector<DueTable>& due,
                                  const std::set<std::string>& captured, pg::Lsn last);

  const std::map<std::string, DiffWork::Table>& tables() const { return done_; }
  pg::Lsn lsn() const { return lsn_; }

 private:
  struct Job {
    const DueTable* due;
    outbox::DiffTable table;
  };
  void look(const std::vector<DueTable>& due, pg::Lsn last);
  void compare(const Job& job, std::size_t number);
  void read_all(const Job& job, OldState& old, outbox::StateWriter& next,
                const outbox::Seeds& seeds);
  void read_ranges(const Job& job, OldState& old, const std::vector<outbox::BlockRange>& runs,
                   outbox::StateWriter& next);
  bool keeps_text(const Job& job) const;
  DiffManifest::Hidden hidden_before(const std::string& name) const;

  const Config& config_;
  const DiffStore& store_;
  pg::SqlSession& reader_;
  const DiffManifest* before_;
  std::function<void()> tick_;
  DiffEncoder encoder_;
  pg::Lsn lsn_;
  pg::Timestamp read_at_;
  std::string at_;
  std::vector<Job> jobs_;
  std::optional<RoundWriter> out_;
  DiffManifest next_;
  bool anything_ = false;
  std::int64_t probe_ = 0;  // of the server's hashes
  bool hashes_agree_ = false;
  std::map<std::string, DiffWork::Table> done_;
};

}  // namespace connector
