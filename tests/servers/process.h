// A child process that cannot outlive the test: the kernel signals it when its parent dies
// (PR_SET_PDEATHSIG), and the destructor kills it. The kernel means the *thread* that forked, so
// start processes from the test's own thread, never from one that ends earlier.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/servers/wait.h"

namespace servers {

struct Spawn {
  std::vector<std::string> argv;      // argv[0] is the path of the program
  std::vector<std::string> env = {};  // "NAME=value", added to the test's own
  std::string user = {};              // run as this user; only root can ask for another
  std::string stdout_file = "/dev/null";
  std::string stderr_file = "/dev/null";
  int death_signal = SIGKILL;  // sent when the test dies
};

struct Exit {
  int code = -1;   // of exit(), or -1
  int signal = 0;  // that ended it, or 0
  long peak_memory_kib = 0;
};

class Process {
 public:
  explicit Process(const Spawn& spawn);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void send(int signal) const;
  std::optional<Exit> exited();           // without waiting
  Exit wait_exit(Milliseconds deadline);  // throws when it still runs then
  void kill_hard();                       // SIGKILL, and waits for the end

 private:
  pid_t pid_ = -1;
  std::optional<Exit> exit_;
};

struct Finished {
  Exit exit;
  std::string out;
  std::string err;
};

// Runs a program to its end.
Finished run_to_end(Spawn spawn, Milliseconds deadline);

// Does user `name` exist and are we root? Then Postgres must run as that user.
bool must_switch_to(const std::string& name);

}  // namespace servers
