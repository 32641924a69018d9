// Starting and ending child processes. Between fork and exec only async-signal-safe calls are made,
// since other threads of the test may hold any lock at that moment; all that allocates comes
// before.
#include "tests/servers/process.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "tests/servers/temp_dir.h"

namespace servers {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (auto& text : strings) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

// The test's environment with `added` on top, which win.
std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> result = added;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('=') + 1);
    bool replaced = false;
    for (const auto& other : added) {
      replaced = replaced || other.starts_with(name);
    }
    if (!replaced) {
      result.push_back(text);
    }
  }
  return result;
}

struct Prepared {
  char** argv;
  char** env;
  const char* out;
  const char* err;
  bool switch_user;
  uid_t uid;
  gid_t gid;
  pid_t parent;
  int death_signal;
};

bool redirect(const char* path, int target, int flags) {
  const int fd = ::open(path, flags, 0644);
  return fd >= 0 && ::dup2(fd, target) >= 0;
}

[[noreturn]] void become(const Prepared& p) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  constexpr int write_flags = O_WRONLY | O_CREAT | O_APPEND;
  bool ok = redirect("/dev/null", 0, O_RDONLY) && redirect(p.out, 1, write_flags) &&
            redirect(p.err, 2, write_flags);
  if (ok && p.switch_user) {
    ok = ::setgroups(1, &p.gid) == 0 && ::setgid(p.gid) == 0 && ::setuid(p.uid) == 0;
  }
  // After the change of user, which clears it; and the parent may have died before.
  ok = ok && ::prctl(PR_SET_PDEATHSIG, p.death_signal) == 0 && ::getppid() == p.parent;
  if (ok) {
    ::execve(p.argv[0], p.argv, p.env);
  }
  ::_exit(127);
}

}  // namespace

bool must_switch_to(const std::string& name) {
  return ::geteuid() == 0 && ::getpwnam(name.c_str()) != nullptr;
}

Process::Process(const Spawn& spawn) {
  std::vector<std::string> argv = spawn.argv;
  std::vector<std::string> env = environment_with(spawn.env);
  const auto argv_pointers = pointers_to(argv);
  const auto env_pointers = pointers_to(env);
  Prepared prepared{const_cast<char**>(argv_pointers.data()),
                    const_cast<char**>(env_pointers.data()),
                    spawn.stdout_file.c_str(),
                    spawn.stderr_file.c_str(),
                    !spawn.user.empty() && must_switch_to(spawn.user),
                    0,
                    0,
                    ::getpid(),
                    spawn.death_signal};
  if (prepared.switch_user) {
    const passwd* entry = ::getpwnam(spawn.user.c_str());
    prepared.uid = entry->pw_uid;
    prepared.gid = entry->pw_gid;
  }
  pid_ = ::fork();
  if (pid_ < 0) {
    throw std::runtime_error(std::string("fork: ") + std::strerror(errno));
  }
  if (pid_ == 0) {
    become(prepared);
  }
}

Process::~Process() { kill_hard(); }

std::optional<Exit> Process::exited() {
  if (exit_.has_value()) {
    return exit_;
  }
  int status = 0;
  rusage usage{};
  if (::wait4(pid_, &status, WNOHANG, &usage) != pid_) {
    return std::nullopt;
  }
  Exit result;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  result.peak_memory_kib = usage.ru_maxrss;
  exit_ = result;
  return exit_;
}

bool Process::running() { return !exited().has_value(); }

void Process::send(int signal) const {
  if (!exit_.has_value()) {
    ::kill(pid_, signal);
  }
}

Exit Process::wait_exit(Milliseconds deadline) {
  wait_until([this] { return exited().has_value(); }, deadline,
             "end of process " + std::to_string(pid_));
  return *exit_;
}

void Process::kill_hard() {
  if (running()) {
    send(SIGKILL);
    wait_exit(seconds(20));
  }
}

Finished run_to_end(Spawn spawn, Milliseconds deadline) {
  const TempDir dir;
  spawn.stdout_file = dir.file("out");
  spawn.stderr_file = dir.file("err");
  Process process(spawn);
  Finished finished;
  finished.exit = process.wait_exit(deadline);
  finished.out = read_file(spawn.stdout_file);
  finished.err = read_file(spawn.stderr_file);
  return finished;
}

}  // namespace servers
