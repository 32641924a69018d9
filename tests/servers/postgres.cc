// Starting, stopping, copying and promoting a real PostgreSQL.
#include "tests/servers/postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace servers {
namespace {

namespace fs = std::filesystem;
constexpr const char* server_user = "postgres";
constexpr Milliseconds start_deadline = seconds(60);

void run_or_throw(const Spawn& spawn) {
  const Finished done = run_to_end(spawn, seconds(120));
  if (done.exit.code != 0) {
    throw std::runtime_error(spawn.argv.front() + " failed: " + done.out + done.err);
  }
}

void give_to_server_user(const std::string& path) {
  if (must_switch_to(server_user)) {
    run_or_throw({.argv = {"/bin/chown", server_user, path}});
  }
}

void make_cluster(const std::string& data) {
  fs::create_directory(data);
  give_to_server_user(data);
  run_or_throw({.argv = {postgres_program("initdb"), "-D", data, "-U", "postgres", "-A", "trust",
                         "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"},
                .user = server_user});
}

// initdb takes seconds, a copy a moment: the first test that needs a cluster makes the template,
// under a lock, and it stays for the tests after it. One folder a server version and user.
std::string template_cluster() {
  const std::string version = fs::path(postgres_program("")).parent_path().parent_path().filename();
  const std::string folder = "/tmp/wf-template-" + version + "-" + std::to_string(::geteuid());
  fs::create_directories(folder);
  const int lock = ::open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0 || ::flock(lock, LOCK_EX) != 0) {
    throw std::runtime_error("cannot lock " + folder);
  }
  std::string data = folder + "/data";
  if (!fs::exists(folder + "/complete")) {
    fs::remove_all(data);
    make_cluster(data);
    write_file(folder + "/complete", "");
  }
  ::close(lock);
  return data;
}

}  // namespace

std::string postgres_program(const std::string& program) {
  static const std::string newest = [] {
    int best = 0;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql")) {
      if (fs::exists(entry.path() / "bin/postgres")) {
        best = std::max(best, std::atoi(entry.path().filename().c_str()));
      }
    }
    if (best == 0) {
      throw std::runtime_error("no PostgreSQL server is installed");
    }
    return "/usr/lib/postgresql/" + std::to_string(best) + "/bin/";
  }();
  return newest + program;
}

PostgresCluster::PostgresCluster(PostgresOptions options) : options_(std::move(options)) {
  if (options_.own_system) {
    make_cluster(data());
  } else {
    run_or_throw({.argv = {"/bin/cp", "-a", template_cluster(), data()}});
  }
  if (options_.tcp) {
    lease_ = std::make_unique<PortLease>();
  }
  start();
}

PostgresCluster::PostgresCluster(CloneOf, const PostgresCluster& original)
    : options_(original.options_) {
  run_or_throw({.argv = {"/bin/cp", "-a", original.data(), data()}});
  if (options_.tcp) {
    lease_ = std::make_unique<PortLease>();
  }
}

PostgresCluster::~PostgresCluster() {
  session_.reset();
  if (process_ != nullptr && process_->running()) {
    signal_all(SIGCONT);
    process_->send(SIGQUIT);
    becomes_true([this] { return !process_->running(); }, seconds(10));
  }
}

void PostgresCluster::start() {
  give_to_server_user(dir_.path());
  if (!options_.hba.empty()) {
    write_file(data() + "/pg_hba.conf", options_.hba);
  }
  std::vector<std::string> settings = {
      "wal_level=logical",  "max_wal_senders=20",   "max_replication_slots=20",
      "fsync=off",          "full_page_writes=off", "shared_buffers=32MB",
      "max_connections=60", "autovacuum=off",       "unix_socket_directories=" + dir_.path()};
  settings.emplace_back(lease_ ? "listen_addresses=127.0.0.1" : "listen_addresses=");
  settings.push_back("port=" + (lease_ ? lease_->text() : "5432"));
  settings.insert(settings.end(), options_.settings.begin(), options_.settings.end());
  Spawn spawn{.argv = {postgres_program("postgres"), "-D", data()},
              .user = server_user,
              .stdout_file = dir_.file("log"),
              .stderr_file = dir_.file("log"),
              .death_signal = SIGQUIT};
  for (const auto& setting : settings) {
    spawn.argv.emplace_back("-c");
    spawn.argv.push_back(setting);
  }
  process_ = std::make_unique<Process>(spawn);
  wait_until([this] { return !process_->running() || PQping(conninfo().c_str()) == PQPING_OK; },
             start_deadline, "start of PostgreSQL");
  if (!process_->running()) {
    throw std::runtime_error("PostgreSQL did not start: " + log());
  }
}

void PostgresCluster::stop() {
  session_.reset();
  process_->send(SIGINT);
  process_->wait_exit(seconds(60));
}

void PostgresCluster::stop_immediately() {
  session_.reset();
  process_->send(SIGQUIT);
  process_->wait_exit(seconds(20));
}

bool PostgresCluster::running() { return process_ != nullptr && process_->running(); }

void PostgresCluster::signal_all(int signal) const {
  const std::string pid = std::to_string(process_->pid());
  std::istringstream children(read_file("/proc/" + pid + "/task/" + pid + "/children"));
  process_->send(signal);
  for (pid_t child = 0; children >> child;) {
    ::kill(child, signal);
  }
}

void PostgresCluster::suspend() { signal_all(SIGSTOP); }
void PostgresCluster::resume() { signal_all(SIGCONT); }

void PostgresCluster::set(const std::string& setting) { options_.settings.push_back(setting); }

std::string PostgresCluster::private_file(const std::string& name, const std::string& text) {
  std::string file = dir_.file(name);
  write_file(file, text);
  fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
  give_to_server_user(file);
  return file;
}

std::unique_ptr<PostgresCluster> PostgresCluster::clone() {
  return std::unique_ptr<PostgresCluster>(new PostgresCluster(CloneOf(), *this));
}

void PostgresCluster::be_standby() {
  const std::string file = data() + "/standby.signal";
  write_file(file, "");
  give_to_server_user(file);
}

void PostgresCluster::jump_to_wal_segment(const std::string& segment) {
  run_or_throw({.argv = {postgres_program("pg_resetwal"), "-l", segment, "-D", data()},
                .user = server_user});
}

void PostgresCluster::promote() {
  exec("SELECT pg_promote()");
  wait_until([this] { return value("SELECT pg_is_in_recovery()") == "f"; }, seconds(30),
             "promotion");
}

std::string PostgresCluster::conninfo(const std::string& user) const {
  return "host=" + dir_.path() + " port=" + (lease_ ? lease_->text() : "5432") +
         " dbname=postgres user=" + user;
}

std::string PostgresCluster::tcp_conninfo(const std::string& user) const {
  return "host=127.0.0.1 port=" + std::to_string(port()) + " dbname=postgres user=" + user;
}

std::uint16_t PostgresCluster::port() const { return lease_ ? lease_->port() : std::uint16_t{0}; }

PgSession PostgresCluster::connect(const std::string& user) const {
  return PgSession(conninfo(user));
}

PgSession& PostgresCluster::session() {
  if (session_ == nullptr || !session_->alive()) {
    session_ = std::make_unique<PgSession>(conninfo());
  }
  return *session_;
}

bool PostgresCluster::slot_active(const std::string& slot) {
  return value("SELECT active FROM pg_replication_slots WHERE slot_name = " + sql_literal(slot)) ==
         "t";
}

bool PostgresCluster::slot_exists(const std::string& slot) {
  return value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = " +
               sql_literal(slot)) == "1";
}

std::uint64_t PostgresCluster::confirmed_flush(const std::string& slot) {
  return parse_lsn(value("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = " +
                         sql_literal(slot)));
}

std::uint64_t PostgresCluster::current_lsn() {
  return parse_lsn(value("SELECT pg_current_wal_insert_lsn()"));
}

std::string PostgresCluster::log() const { return read_file(dir_.file("log")); }

}  // namespace servers
