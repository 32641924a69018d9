// The program under test, as its user has it: a configuration file, a process, its exit code and
// its log. Several may run at once, each with its own object.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/servers/process.h"
#include "tests/servers/temp_dir.h"

namespace servers {

// A configuration. Values are TOML as written: numbers bare, strings through toml_string().
class Settings {
 public:
  Settings& set(const std::string& section, const std::string& key, const std::string& toml);
  Settings& set_string(const std::string& section, const std::string& key, const std::string& text);
  Settings& remove(const std::string& section, const std::string& key);
  // A [[table]]; snapshot = "never" unless `more` (lines of TOML) says otherwise.
  Settings& table(const std::string& name, const std::string& more = "snapshot = \"never\"");
  Settings& no_tables();
  Settings& raw(const std::string& text);  // appended as it is
  std::string to_toml() const;

 private:
  std::map<std::string, std::map<std::string, std::string>> sections_;
  std::vector<std::string> tables_;
  std::string raw_;
};

std::string toml_string(const std::string& text);

class Walferry {
 public:
  Walferry(std::string binary, Settings settings);

  Settings& settings() { return settings_; }
  // `walferry run --config ...`; the configuration is written anew each time.
  void start(const std::vector<std::string>& args = {}, const std::vector<std::string>& env = {});
  bool running() { return process_ != nullptr && process_->running(); }
  void kill_hard() { process_->kill_hard(); }
  // Waits until the daemon takes signals as requests: a SIGTERM between fork() and then would end
  // it as it ends any program.
  void send(int signal);
  void terminate() { send(SIGTERM); }
  void suspend() { process_->send(SIGSTOP); }
  void resume() { process_->send(SIGCONT); }
  Exit wait_exit(Milliseconds deadline = seconds(60)) { return process_->wait_exit(deadline); }
  // SIGTERM, and expects a clean end; throws with the log when it is none.
  void stop();
  pid_t pid() const { return process_->pid(); }
  // Of the last start(), on the clock that the servers of the test go by.
  std::chrono::system_clock::time_point started_at() const { return started_at_; }

  // Another verb, to its end, with the same configuration: {"status", "--json"}.
  Finished verb(const std::vector<std::string>& args, const std::vector<std::string>& env = {},
                Milliseconds deadline = seconds(60));
  // `run` to its end.
  Finished run_to_exit(const std::vector<std::string>& args = {},
                       const std::vector<std::string>& env = {},
                       Milliseconds deadline = seconds(60));

  std::string state();           // "runs", "ended with code 4", "ended by signal 6", for a report
  std::string log() const;       // standard error since the last start()
  std::string all_logs() const;  // of every start()
  std::string config_file() const { return dir_.file("walferry.toml"); }

 private:
  std::string log_file(int run) const;
  std::string out_file(int run) const;

  std::string binary_;
  Settings settings_;
  TempDir dir_;
  int runs_ = 0;
  std::chrono::system_clock::time_point started_at_;
  std::unique_ptr<Process> process_;
};

}  // namespace servers
