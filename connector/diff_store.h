// The folder of a snapshot-diff, `{diff.state_dir}/{stream}.{slot}`:
//
//   {LSN}.round      what a round publishes, and the manifest: which states it leaves behind
//   {LSN}.{n}.state  a table's state, from the round on that it changed in
//   lock             held by the one walferry that uses the folder
//
// The states of a round are on the disk before its round file is, which is made by one rename: so a
// round is complete, or it is not there. Whatever no complete round names is dropped.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "connector/config.h"
#include "pg/types.h"

namespace connector {

struct DiffManifest {
  // Columns that were masked or left out, by name, with their numbers in the table of that OID.
  struct Hidden {
    std::uint32_t oid = 0;
    std::map<std::string, std::int32_t> columns;
    friend bool operator==(const Hidden&, const Hidden&) = default;
  };
  struct Table {
    std::string state;               // its file; empty: none yet
    std::string shape;               // that was announced; empty: none
    bool restart = false;            // the state is of no use: the table begins again
    Hidden hidden;                   // when it was last compared
    std::string settings;            // those that its records were made under: choice_fingerprint()
    std::uint64_t from = 0, to = 0;  // its records among the round's
  };
  pg::Lsn lsn;
  pg::Lsn parent;                       // the round before; invalid: none
  std::int64_t read_at = 0;             // microseconds since 2000
  std::map<std::string, Table> tables;  // by "schema"."table"
  std::uint64_t messages = 0;
  std::uint64_t max_message = 0;  // where its records are cut; 0: not known

  // The tables of which the round has records, in their order.
  using Entry = std::pair<const std::string, Table>;
  std::vector<const Entry*> parts() const;

  std::string to_json() const;
  static DiffManifest parse(std::string_view json);  // throws outbox::FileError
};

class DiffStore {
 public:
  // Makes the folder, and locks it. Throws Stop(precondition) when it cannot be used, pg::Error
  // (55006: try again) while another walferry does.
  explicit DiffStore(const Config& config);
  ~DiffStore();
  DiffStore(const DiffStore&) = delete;
  DiffStore& operator=(const DiffStore&) = delete;

  // Complete rounds, as their names say; oldest first.
  std::vector<pg::Lsn> rounds() const;
  std::string round_file(pg::Lsn lsn) const;
  std::string state_file(const std::string& name) const { return folder_ + "/" + name; }
  static std::string state_name(pg::Lsn lsn, std::size_t table);

  // Checks all of the file. Throws outbox::FileError.
  DiffManifest read_manifest(pg::Lsn lsn) const;

  // Removes the rounds that are not in `keep`, and the states that `manifest` (nullptr: nothing)
  // does not name.
  void remove_all_but(const std::set<pg::Lsn>& keep, const DiffManifest* manifest) const;

  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  int lock_ = -1;
};

std::string diff_folder(const Config& config);

}  // namespace connector
