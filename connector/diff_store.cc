#include "connector/diff_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "connector/stop.h"
#include "outbox/checked_file.h"
#include "pg/error.h"

namespace connector {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view round_end = ".round";
constexpr std::string_view state_end = ".state";
constexpr std::string_view new_end = ".new";

}  // namespace

std::string DiffManifest::to_json() const {
  nlohmann::ordered_json of_tables = nlohmann::ordered_json::object();
  for (const auto& [name, table] : tables) {
    nlohmann::ordered_json json{{"state", table.state},     {"shape", table.shape},
                                {"restart", table.restart}, {"settings", table.settings},
                                {"from", table.from},       {"to", table.to}};
    if (!table.hidden.columns.empty()) {
      json["hidden"] = {{"oid", table.hidden.oid}, {"columns", table.hidden.columns}};
    }
    of_tables[name] = std::move(json);
  }
  const nlohmann::ordered_json json{{"lsn", to_string(lsn)},      {"parent", to_string(parent)},
                                    {"read_at", read_at},         {"messages", messages},
                                    {"max_message", max_message}, {"tables", std::move(of_tables)}};
  return json.dump();
}

std::vector<const DiffManifest::Entry*> DiffManifest::parts() const {
  std::vector<const Entry*> found;
  for (const Entry& entry : tables) {
    if (entry.second.from < entry.second.to) found.push_back(&entry);
  }
  std::sort(found.begin(), found.end(),
            [](const Entry* a, const Entry* b) { return a->second.from < b->second.from; });
  return found;
}

DiffManifest DiffManifest::parse(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    DiffManifest manifest;
    manifest.lsn = pg::parse_lsn(json.at("lsn").get<std::string>()).value();
    manifest.parent = pg::parse_lsn(json.at("parent").get<std::string>()).value();
    manifest.read_at = json.at("read_at").get<std::int64_t>();
    manifest.messages = json.at("messages").get<std::uint64_t>();
    manifest.max_message = json.value("max_message", std::uint64_t{0});
    for (const auto& [name, table] : json.at("tables").items()) {
      Table& entry = manifest.tables[name];
      entry.state = table.at("state").get<std::string>();
      entry.shape = table.at("shape").get<std::string>();
      entry.restart = table.at("restart").get<bool>();
      entry.settings = table.value("settings", "");
      entry.from = table.value("from", std::uint64_t{0});
      entry.to = table.value("to", std::uint64_t{0});
      if (!table.contains("hidden")) continue;
      entry.hidden.oid = table.at("hidden").at("oid").get<std::uint32_t>();
      table.at("hidden").at("columns").get_to(entry.hidden.columns);
    }
    return manifest;
  } catch (const std::exception& error) {
    throw outbox::FileError(std::string("a round's manifest is none: ") + error.what());
  }
}

std::string diff_folder(const Config& config) {
  return config.state_dir + "/" + config.stream.name + "." + config.source.slot;
}

DiffStore::DiffStore(const Config& config) : folder_(diff_folder(config)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (!error) {
    lock_ = ::open((folder_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0) error = std::error_code(errno, std::generic_category());
  }
  if (error) {
    throw Stop(Exit::precondition,
               fmt::format("the folder {} cannot be used: {}", folder_, error.message()),
               fmt::format("name a folder in diff.state_dir that walferry's user may write to, or: "
                           "mkdir -p {0} && chown WALFERRY_USER {0}",
                           config.state_dir));
  }
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw pg::Error(fmt::format("the folder {} is in use by another walferry", folder_), "55006");
  }
}

DiffStore::~DiffStore() { ::close(lock_); }

std::vector<pg::Lsn> DiffStore::rounds() const {
  std::vector<pg::Lsn> found;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(round_end)) continue;
    const auto lsn =
        pg::parse_hex16(std::string_view(name).substr(0, name.size() - round_end.size()));
    if (lsn) found.push_back(*lsn);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string DiffStore::round_file(pg::Lsn lsn) const {
  return fmt::format("{}/{}{}", folder_, pg::to_hex16(lsn), round_end);
}

std::string DiffStore::state_name(pg::Lsn lsn, std::size_t table) {
  return fmt::format("{}.{}{}", pg::to_hex16(lsn), table, state_end);
}

DiffManifest DiffStore::read_manifest(pg::Lsn lsn) const {
  outbox::CheckedReader file(round_file(lsn), "rond");
  file.verify();
  file.seek(file.last_block());
  DiffManifest manifest = DiffManifest::parse(file.next());
  if (manifest.lsn != lsn) {
    file.fail(fmt::format("is the file of another round, of that at {}", to_string(manifest.lsn)));
  }
  return manifest;
}

void DiffStore::remove_all_but(const std::set<pg::Lsn>& keep, const DiffManifest* manifest) const {
  std::set<std::string> kept;
  for (const pg::Lsn lsn : keep) kept.insert(pg::to_hex16(lsn) + std::string(round_end));
  if (manifest != nullptr) {
    for (const auto& [name, table] : manifest->tables) kept.insert(table.state);
  }
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    const bool ours =
        name.ends_with(round_end) || name.ends_with(state_end) || name.ends_with(new_end);
    if (ours && !kept.contains(name)) old.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& path : old) fs::remove(path, ignored);
  if (!old.empty()) outbox::sync_folder(folder_);
}

}  // namespace connector
