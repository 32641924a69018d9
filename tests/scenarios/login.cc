// Getting in: NATS by user and password, token, nkey, creds and TLS with and without a client's
// certificate; Postgres by password and TLS through the dsn, and a dsn that names several hosts.
#include "tests/scenarios/rig.h"
#include "tests/servers/certificates.h"
#include "tests/servers/nats_jwt.h"

namespace scenarios {
namespace {

class Login : public Scenario {
 protected:
  explicit Login(PostgresOptions postgres = {}, NatsOptions nats = {})
      : Scenario(std::move(postgres), std::move(nats)) {}
  void SetUp() override { create_table("t", "id int PRIMARY KEY, v text"); }
  std::string file(const std::string& name, const std::string& text) {
    write_file(dir_.file(name), text);
    return dir_.file(name);
  }
  void expect_it_works() {
    start();
    exec("INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    expect_exact();
  }
  // Neither in what was logged so far nor in what check and status print now.
  void expect_untold(const std::string& secret) {
    EXPECT_FALSE(says(walferry_.all_logs(), secret)) << walferry_.all_logs();
    for (const std::string verb : {"check", "status"}) {
      for (const auto& args : {std::vector{verb}, std::vector<std::string>{verb, "--json"}}) {
        const Finished shown = walferry_.verb(args);
        EXPECT_FALSE(says(shown.out, secret)) << verb << ": " << shown.out;
        EXPECT_FALSE(says(shown.err, secret)) << verb << ": " << shown.err;
      }
    }
  }
  void expect_refused_and_untold(const std::string& secret) {
    walferry_.start();
    const std::string error = errors_in(expect_exit(3));
    EXPECT_TRUE(says(error, "nats")) << error;
    EXPECT_FALSE(postgres_.slot_exists("walferry"));
    EXPECT_EQ(walferry_.verb({"check"}).exit.code, 3);
    expect_untold(secret);
  }
  // Through a lost connection too.
  void expect_it_works_and_is_untold(const std::string& secret) {
    start();
    exec("INSERT INTO t VALUES (1, 'x')");
    wait_stored(1);
    nats_.restart();
    exec("INSERT INTO t VALUES (2, 'y')");
    wait_stored(2);
    EXPECT_EQ(walferry_.verb({"check"}).exit.code, 0);
    EXPECT_EQ(walferry_.verb({"status"}).exit.code, 0);
    expect_untold(secret);
    expect_exact();
    expect_untold(secret);
  }

  TempDir dir_;
};

struct UserLogin : Login {
  UserLogin() : Login({}, {.login = {.user = "ferry", .password = "pa ss"}}) {}
};

TEST_F(UserLogin, UserAndPasswordOfTheConfigurationWork) {
  settings()
      .set_string("nats", "user", "ferry")
      .set_string("nats", "password", "${FERRY_PASSWORD}");
  start({}, {"FERRY_PASSWORD=pa ss"});
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(UserLogin, AWrongPasswordIsNeverTakenForSuccess) {
  settings().set_string("nats", "user", "ferry").set_string("nats", "password", "wrong");
  walferry_.start();
  becomes_true([&] { return !walferry_.running(); }, seconds(3));
  EXPECT_TRUE(says(walferry_.log(), "nats")) << walferry_.log();
  EXPECT_TRUE(says(walferry_.log(), "auth")) << walferry_.log();
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

struct MutedLogin : Login {
  MutedLogin()
      : Login({},
              {.reader = {.user = "reader", .password = "r"},
               .more = "authorization { users = [ { user: reader, password: r }, { user: muted, "
                       "password: m, permissions: { publish: { deny: [\"cdc.>\"] } } } ] }"}) {
    settings().set_string("nats", "user", "muted").set_string("nats", "password", "m");
  }
};

// All that comes before the first record is allowed to it.
TEST_F(MutedLogin, AUserWhoMayNotPublishTheRecordsIsToldTheirSubject) {
  start();
  exec("INSERT INTO t VALUES (1, 'x')");
  const std::string error = errors_in(expect_exit(3));
  EXPECT_TRUE(says(error, "Publish to \"cdc.")) << error;
  EXPECT_TRUE(says(error, "permissions")) << error;
}

struct TokenLogin : Login {
  TokenLogin() : Login({}, {.login = {.token = "t0ken-of-tests"}}) {
    settings().set_string("log", "level", "trace");
  }
};

TEST_F(TokenLogin, ATokenWorksAndIsNeverShown) {
  settings().set_string("nats", "token", "t0ken-of-tests");
  expect_it_works_and_is_untold("t0ken-of-tests");
}

TEST_F(TokenLogin, ATokenInTheUrlWorksAndIsNeverShown) {
  settings().set_string("nats", "url",
                        "nats://t0ken-of-tests@127.0.0.1:" + std::to_string(nats_.port()));
  expect_it_works_and_is_untold("t0ken-of-tests");
}

TEST_F(TokenLogin, AWrongTokenIsRefusedAndNeverShown) {
  settings().set_string("nats", "token", "wr0ng-t0ken");
  expect_refused_and_untold("wr0ng-t0ken");
}

class CredsLogin : public Login {
 protected:
  explicit CredsLogin(const NatsTrust& trust = NatsTrust())
      : Login({}, {.reader = {.jwt = trust.user_jwt, .seed = trust.user_seed},
                   .more = trust.server_lines}),
        trust_(trust) {
    settings().set_string("log", "level", "trace");
  }
  void log_in_with(const std::string& creds) {
    settings().set_string("nats", "creds", file("user.creds", creds));
  }
  NatsTrust with_a_spoilt_seed() const {
    NatsTrust spoilt = trust_;
    char& letter = spoilt.user_seed.at(20);
    letter = letter == 'A' ? 'B' : 'A';  // its checksum is wrong now
    return spoilt;
  }

  NatsTrust trust_;
};

TEST_F(CredsLogin, ACredsFileWorksAndItsSeedIsNeverShown) {
  log_in_with(trust_.creds());
  expect_it_works_and_is_untold(trust_.user_seed);
}

TEST_F(CredsLogin, TheCredsOfAnotherOperatorsUserAreRefused) {
  const NatsTrust other;
  log_in_with(other.creds());
  expect_refused_and_untold(other.user_seed);
}

TEST_F(CredsLogin, ASpoiltSeedIsNeverShown) {
  const NatsTrust spoilt = with_a_spoilt_seed();
  log_in_with(spoilt.creds());
  walferry_.start();
  wait_until([&] { return says(walferry_.log(), "nats"); }, seconds(30), "what stands in the way");
  expect_untold(spoilt.user_seed);
  EXPECT_FALSE(postgres_.slot_exists("walferry"));
}

TEST_F(CredsLogin, ASpoiltSeedIsRefused) {
  const NatsTrust spoilt = with_a_spoilt_seed();
  log_in_with(spoilt.creds());
  expect_refused_and_untold(spoilt.user_seed);
}

TEST_F(CredsLogin, ACredsFileThatIsMissingIsRefusedWithItsName) {
  settings().set_string("nats", "creds", dir_.file("nowhere.creds"));
  const Finished finished = walferry_.run_to_exit();
  EXPECT_EQ(finished.exit.code, 2) << finished.err;
  EXPECT_TRUE(says(finished.err, "nats.creds")) << finished.err;
}

struct NkeyLogin : Login {
  NkeyLogin()
      : Login({}, {.reader = {.user = "reader", .password = "r"},
                   .more = std::string("authorization { users = [ { nkey: ") +
                           certificates::nkey_public + " }, { user: reader, password: r } ] }"}) {}
};

TEST_F(NkeyLogin, AnNkeySeedFileWorks) {
  settings().set_string("nats", "nkey_seed_file", file("seed", certificates::nkey_seed));
  expect_it_works();
}

// The tests' own reader speaks no TLS: it reads when the server has been started again without.
class TlsLogin : public Login {
 protected:
  explicit TlsLogin(const std::string& more = "") : Login({}, {.start = false}) {
    nats_.set_more("tls {\n cert_file: \"" + file("server.pem", certificates::server) +
                   "\"\n key_file: \"" + file("server.key", certificates::server_key) +
                   "\"\n ca_file: \"" + file("ca.pem", certificates::authority) + "\"\n " + more +
                   "\n}");
    nats_.launch();
    wait_until([this] { return says(nats_.log(), "Server is ready"); }, seconds(20),
               "start of nats-server");
    settings().set_string("nats", "url", "tls://127.0.0.1:" + std::to_string(nats_.port()));
  }
  void expect_it_works_over_tls() {
    const Finished first = walferry_.run_to_exit({"--until", "current"});
    EXPECT_EQ(first.exit.code, 0) << first.err;
    watch();
    // Larger than what a socket takes at once.
    exec("INSERT INTO t SELECT i, repeat('x', 500000) FROM generate_series(1, 20) i");
    const Finished second = walferry_.run_to_exit({"--until", "current"});
    EXPECT_EQ(second.exit.code, 0) << second.err;
    nats_.stop();
    nats_.set_more("");
    nats_.start();
    EXPECT_TRUE(each_change_once(js().read("CDC"), *oracle_));
  }
  void expect_it_is_not_let_in() {
    walferry_.start();
    EXPECT_FALSE(becomes_true([&] { return postgres_.slot_exists("walferry"); }, seconds(3)));
    EXPECT_TRUE(says(walferry_.log(), "nats")) << walferry_.log();
  }
};

TEST_F(TlsLogin, AServerOfATrustedAuthorityIsAccepted) {
  settings().set_string("nats", "tls_ca", dir_.file("ca.pem"));
  expect_it_works_over_tls();
}

TEST_F(TlsLogin, AServerOfAnUnknownAuthorityIsNot) { expect_it_is_not_let_in(); }

struct MutualTlsLogin : TlsLogin {
  MutualTlsLogin() : TlsLogin("verify: true") {
    settings().set_string("nats", "tls_ca", dir_.file("ca.pem"));
  }
};

TEST_F(MutualTlsLogin, AClientsCertificateIsShown) {
  settings()
      .set_string("nats", "tls_cert", file("client.pem", certificates::client))
      .set_string("nats", "tls_key", file("client.key", certificates::client_key));
  expect_it_works_over_tls();
}

TEST_F(MutualTlsLogin, WithoutAClientsCertificateNobodyGetsIn) { expect_it_is_not_let_in(); }

// ---- Postgres

struct PasswordLogin : Login {
  PasswordLogin()
      : Login({.tcp = true,
               .hba = "local all all trust\nlocal replication all trust\n"
                      "host all all 127.0.0.1/32 scram-sha-256\n"
                      "host replication all 127.0.0.1/32 scram-sha-256\n"}) {}
};

TEST_F(PasswordLogin, APasswordFromTheEnvironmentWorks) {
  exec("CREATE ROLE ferry LOGIN SUPERUSER PASSWORD 'it''s secret'");
  settings().set_string("source", "dsn",
                        postgres_.tcp_conninfo("ferry") + " password='${FERRY_PG_PASSWORD}'");
  start({}, {"FERRY_PG_PASSWORD=it\\'s secret"});
  exec("INSERT INTO t VALUES (1, 'x')");
  expect_exact();
}

TEST_F(PasswordLogin, AUriWithSeveralHostsFindsTheOneThatIsThere) {
  exec("CREATE ROLE ferry LOGIN SUPERUSER PASSWORD 'secret'");
  const PortLease nobody;
  settings().set_string("source", "dsn",
                        "postgresql://ferry:secret@127.0.0.1:" + nobody.text() +
                            ",127.0.0.1:" + std::to_string(postgres_.port()) + "/postgres");
  expect_it_works();
}

class PostgresTlsLogin : public Login {
 protected:
  PostgresTlsLogin()
      : Login({.tcp = true,
               .hba = "local all all trust\nlocal replication all trust\n"
                      "hostssl all all 127.0.0.1/32 trust\n"
                      "hostssl replication all 127.0.0.1/32 trust\n"}) {
    postgres_.stop();
    postgres_.set("ssl=on");
    postgres_.set("ssl_cert_file=" + postgres_.private_file("server.pem", certificates::server));
    postgres_.set("ssl_key_file=" + postgres_.private_file("server.key", certificates::server_key));
    postgres_.start();
  }
};

TEST_F(PostgresTlsLogin, TlsAsTheDsnAsksForItWorks) {
  settings().set_string("source", "dsn",
                        postgres_.tcp_conninfo() + " sslmode=verify-full sslrootcert=" +
                            file("ca.pem", certificates::authority));
  expect_it_works();
}

}  // namespace
}  // namespace scenarios
