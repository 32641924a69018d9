// Starting walferry and writing what it is configured with.
#include "tests/servers/walferry.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace servers {

std::string toml_string(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", static_cast<unsigned>(c));
      result += escaped.data();
    } else {
      result += c;
    }
  }
  return result + "\"";
}

Settings& Settings::set(const std::string& section, const std::string& key,
                        const std::string& toml) {
  sections_[section][key] = toml;
  return *this;
}

Settings& Settings::set_string(const std::string& section, const std::string& key,
                               const std::string& text) {
  return set(section, key, toml_string(text));
}

Settings& Settings::remove(const std::string& section, const std::string& key) {
  sections_[section].erase(key);
  return *this;
}

Settings& Settings::table(const std::string& name, const std::string& more) {
  tables_.push_back("[[table]]\nname = " + toml_string(name) + "\n" + more + "\n");
  return *this;
}

Settings& Settings::no_tables() {
  tables_.clear();
  return *this;
}

Settings& Settings::raw(const std::string& text) {
  raw_ += text + "\n";
  return *this;
}

std::string Settings::to_toml() const {
  std::string text;
  for (const auto& [section, keys] : sections_) {
    if (!keys.empty()) {
      text += "[" + section + "]\n";
    }
    for (const auto& [key, value] : keys) {
      text.append(key).append(" = ").append(value).append("\n");
    }
    text += "\n";
  }
  for (const auto& table : tables_) {
    text += table + "\n";
  }
  return text + raw_;
}

namespace {

bool blocks(const std::filesystem::path& thread, int signal) {
  std::ifstream status(thread / "status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("SigBlk:")) continue;
    return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1U) != 0;
  }
  return false;
}

// By the mask of any thread: the one that waits for signals shows none of them as blocked.
bool takes_signals(pid_t pid, int signal) {
  std::error_code gone;
  for (const auto& thread :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", gone)) {
    if (blocks(thread, signal)) return true;
  }
  return false;
}

}  // namespace

Walferry::Walferry(std::string binary, Settings settings)
    : binary_(std::move(binary)), settings_(std::move(settings)) {}

std::string Walferry::log_file(int run) const { return dir_.file("log." + std::to_string(run)); }

std::string Walferry::out_file(int run) const { return dir_.file("out." + std::to_string(run)); }

void Walferry::start(const std::vector<std::string>& args, const std::vector<std::string>& env) {
  write_file(config_file(), settings_.to_toml());
  ++runs_;
  Spawn spawn{.argv = {binary_, "run", "--config", config_file()},
              .env = env,
              .stdout_file = out_file(runs_),
              .stderr_file = log_file(runs_)};
  spawn.argv.insert(spawn.argv.end(), args.begin(), args.end());
  started_at_ = std::chrono::system_clock::now();
  process_ = std::make_unique<Process>(spawn);
}

void Walferry::send(int signal) {
  wait_until([&] { return !running() || takes_signals(process_->pid(), signal); }, seconds(30),
             "walferry to take signals");
  process_->send(signal);
}

void Walferry::stop() {
  terminate();
  const Exit exit = wait_exit(seconds(30));
  if (exit.code != 0) {
    throw std::runtime_error("walferry ended with code " + std::to_string(exit.code) + ", signal " +
                             std::to_string(exit.signal) + ": " + log());
  }
}

Finished Walferry::verb(const std::vector<std::string>& args, const std::vector<std::string>& env,
                        Milliseconds deadline) {
  write_file(config_file(), settings_.to_toml());
  Spawn spawn{.argv = {binary_}, .env = env};
  spawn.argv.insert(spawn.argv.end(), args.begin(), args.end());
  spawn.argv.insert(spawn.argv.end(), {"--config", config_file()});
  return run_to_end(spawn, deadline);
}

// As start(), so that the log is kept when the end does not come.
Finished Walferry::run_to_exit(const std::vector<std::string>& args,
                               const std::vector<std::string>& env, Milliseconds deadline) {
  start(args, env);
  Finished finished;
  finished.exit = wait_exit(deadline);
  finished.out = read_file(out_file(runs_));
  finished.err = log();
  return finished;
}

std::string Walferry::state() {
  if (process_ == nullptr) {
    return "was not started";
  }
  const auto exit = process_->exited();
  if (!exit) {
    return "runs";
  }
  return exit->signal != 0 ? "ended by signal " + std::to_string(exit->signal)
                           : "ended with code " + std::to_string(exit->code);
}

std::string Walferry::log() const { return read_file(log_file(runs_)); }

std::string Walferry::all_logs() const {
  std::string text;
  for (int run = 1; run <= runs_; ++run) {
    text += "--- run " + std::to_string(run) + "\n" + read_file(log_file(run));
  }
  return text;
}

}  // namespace servers
