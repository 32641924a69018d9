// A private PostgreSQL cluster: a unix socket in its own folder, a loopback port only when asked
// for, wal_level = logical, everyone trusted. Copied from a template that initdb made once, so that
// a test's own server is up in a fraction of a second. fsync is off: what a test kills is Postgres,
// not the machine, and what was written stays in the kernel's cache.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/servers/pg_session.h"
#include "tests/servers/port.h"
#include "tests/servers/process.h"
#include "tests/servers/temp_dir.h"

namespace servers {

struct PostgresOptions {
  std::vector<std::string> settings = {};  // "wal_sender_timeout=2s", they win over the defaults
  bool tcp = false;
  std::string hba = {};     // replaces pg_hba.conf
  bool own_system = false;  // a system identifier that no other test's cluster has
};

class PostgresCluster {
 public:
  explicit PostgresCluster(PostgresOptions options = {});
  ~PostgresCluster();

  void start();
  void stop();              // fast: ends sessions, waits for walsenders; throws after 60 s
  void stop_immediately();  // as if it had crashed; recovery at the next start
  void restart() { stop(), start(); }
  bool running();
  // SIGSTOP and SIGCONT for the postmaster and all of its processes.
  void suspend();
  void resume();
  void set(const std::string& setting);  // "name=value", from the next start on

  // Writes a file that only the server may read, and returns its path.
  std::string private_file(const std::string& name, const std::string& text);

  // A copy of the stopped cluster's files, as another cluster with the same system identifier.
  std::unique_ptr<PostgresCluster> clone();
  void be_standby();  // before start(): standby.signal
  // Of a stopped cluster: WAL goes on at this segment, "000000010000ABCD00000001".
  void jump_to_wal_segment(const std::string& segment);
  void promote();  // and waits until it accepts writes, on a new timeline

  std::string conninfo(const std::string& user = "postgres") const;
  std::string tcp_conninfo(const std::string& user = "postgres") const;
  std::uint16_t port() const;  // of TCP, 0 without
  PgSession connect(const std::string& user = "postgres") const;

  // On a connection kept for the purpose, opened again after a restart.
  void exec(const std::string& sql) { session().exec(sql); }
  SqlRows query(const std::string& sql) { return session().query(sql); }
  std::string value(const std::string& sql) { return session().value(sql); }

  bool slot_active(const std::string& slot);
  bool slot_exists(const std::string& slot);
  std::uint64_t confirmed_flush(const std::string& slot);
  std::uint64_t current_lsn();
  std::string log() const;

 private:
  struct CloneOf {};
  PostgresCluster(CloneOf tag, const PostgresCluster& original);

  PgSession& session();
  void signal_all(int signal) const;
  std::string data() const { return dir_.file("data"); }

  PostgresOptions options_;
  TempDir dir_;
  std::unique_ptr<PortLease> lease_;
  std::unique_ptr<PgSession> session_;
  std::unique_ptr<Process> process_;
};

// Is `program` ("pg_dump") of the server's own version, with its path.
std::string postgres_program(const std::string& program);

}  // namespace servers
