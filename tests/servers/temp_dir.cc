// Temporary folders: /tmp/wf.{process id}.XXXXXX.
#include "tests/servers/temp_dir.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <stdexcept>
#include <system_error>

namespace servers {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = "wf.";

// The process id in a folder's name, 0 when it is none of ours.
pid_t owner_of(const std::string& name) {
  if (!name.starts_with(prefix)) {
    return 0;
  }
  pid_t owner = 0;
  std::from_chars(name.data() + prefix.size(), name.data() + name.size(), owner);
  return owner;
}

void remove_left_behind() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/tmp", ignored)) {
    const pid_t owner = owner_of(entry.path().filename().string());
    if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

}  // namespace

TempDir::TempDir() {
  static std::once_flag once;
  std::call_once(once, remove_left_behind);
  path_ = "/tmp/" + std::string(prefix) + std::to_string(::getpid()) + ".XXXXXX";
  // The server of the database runs as another user and must pass through.
  if (::mkdtemp(path_.data()) == nullptr || ::chmod(path_.c_str(), 0755) != 0) {
    throw std::runtime_error("cannot create " + path_);
  }
}

TempDir::~TempDir() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  if (!out.flush()) {
    throw std::runtime_error("cannot write " + path);
  }
}

}  // namespace servers
