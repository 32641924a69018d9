// A private folder under /tmp, with a path short enough for a unix socket (108 bytes), removed with
// its owner. The name carries the test's process id: a folder whose process was killed is removed
// by the next test that makes one, so nothing piles up.
#pragma once

#include <string>

namespace servers {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string read_file(const std::string& path);  // empty when there is none
void write_file(const std::string& path, const std::string& text);

}  // namespace servers
