// What an operator does between two runs, and what a network does: nothing of it may lose a record
// in silence, or end in a state that no command leads out of.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/scenarios/rig.h"

namespace scenarios {
namespace {

class Traps : public Scenario {
 protected:
  explicit Traps(PostgresOptions postgres = {}) : Scenario(std::move(postgres)) {
    create_table("t", "id int PRIMARY KEY");
    settings().set_string("source", "replay_window", "0");
  }
  void insert(int id) { exec("INSERT INTO t VALUES (" + std::to_string(id) + ")"); }
  std::vector<int> stored_ids() {
    std::vector<int> ids;
    for (const auto& record : records()) {
      ids.push_back(record.after["id"].get<int>());
    }
    return ids;
  }
};

// The hole that a foreign message leaves is not taken for one of our records.
TEST_F(Traps, AForeignMessageThatWasDeletedAgainCostsNoRecord) {
  start();
  insert(1);
  wait_stored(1);
  walferry_.stop();
  js().publish("cdc.foreign", "x");
  js().publish("cdc.foreign", "y");
  insert(2);
  insert(3);
  walferry_.start();
  EXPECT_TRUE(says(expect_exit(4), "not walferry's"));
  js().delete_message("CDC", 3);
  js().delete_message("CDC", 4);
  walferry_.start();
  EXPECT_TRUE(says(expect_exit(4), "messages 3 to 4 were deleted"));
  walferry_.start({"--accept-gap"});
  wait_stored(5);
  walferry_.stop();
  EXPECT_EQ(stored_ids(), (std::vector<int>{1, 2, 3}));
}

// ... and an idle table holds no WAL because of it, in silence.
TEST_F(Traps, AHoleBehindTheTailIsSaidAlsoWhereNothingIsToBePublished) {
  start();
  insert(1);
  wait_stored(1);
  walferry_.stop();
  js().publish("cdc.foreign", "x");
  js().delete_message("CDC", 3);
  walferry_.start();
  EXPECT_TRUE(says(expect_exit(4), "messages 3 to 3 were deleted"));
}

TEST_F(Traps, ADroppedPublicationHasAWayOut) {
  start();
  insert(1);
  wait_stored(1);
  walferry_.stop();
  exec("DROP PUBLICATION walferry");
  insert(2);
  walferry_.start();
  EXPECT_TRUE(says(expect_exit(4), "--accept-gap"));
  walferry_.start({"--accept-gap"});
  wait_until(
      [&] {
        return says(walferry_.log(), "streaming from slot") &&
               says(walferry_.log(), "created slot");
      },
      seconds(30), "it goes on with a new slot");
  insert(3);
  wait_stored(2);
  walferry_.stop();
  EXPECT_TRUE(says(walferry_.log(), "accepted: slot \"walferry\" can no longer be read"));
  EXPECT_EQ(stored_ids(), (std::vector<int>{1, 3}));
}

TEST_F(Traps, ATableThatWasTakenOutOfThePublicationIsNotPutBackInSilence) {
  start();
  insert(1);
  wait_stored(1);
  walferry_.stop();
  exec("ALTER PUBLICATION walferry DROP TABLE t");
  insert(2);
  walferry_.start();
  wait_streaming();
  insert(3);
  wait_stored(2);
  walferry_.stop();
  EXPECT_TRUE(says(walferry_.log(), "what was committed on it before is not in the stream"));
  EXPECT_EQ(stored_ids(), (std::vector<int>{1, 3}));
}

TEST_F(Traps, ARootAndOneOfItsPartitionsMayBothBeNamed) {
  exec(
      "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); "
      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)");
  settings().table("public.p").table("public.p1");
  for (int id = 1; id <= 3; ++id) {
    start();
    exec("INSERT INTO p VALUES (" + std::to_string(id) + ")");
    wait_stored(static_cast<std::uint64_t>(id));
    walferry_.stop();
  }
  for (const auto& record : records()) {
    EXPECT_EQ(record.table, "p");
  }
}

// A socket that takes connections and never answers: a machine that lost its power behind a router.
class SilentHost {
 public:
  SilentHost() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(lease_.port());
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd_, 16) != 0) {
      throw std::runtime_error("a silent host cannot be made");
    }
  }
  ~SilentHost() { ::close(fd_); }
  SilentHost(const SilentHost&) = delete;
  SilentHost& operator=(const SilentHost&) = delete;
  std::string port() const { return lease_.text(); }

 private:
  PortLease lease_;
  int fd_;
};

class TrapsOverTcp : public Traps {
 protected:
  TrapsOverTcp() : Traps(PostgresOptions{.tcp = true}) {}
};

TEST_F(TrapsOverTcp, AFirstHostThatIsSilentIsLeftForTheNext) {
  const SilentHost silent;
  const std::string port = postgres_.value("SHOW port");
  settings().set_string("source", "dsn",
                        "host=127.0.0.1,127.0.0.1 port=" + silent.port() + "," + port +
                            " connect_timeout=2 user=postgres dbname=" +
                            postgres_.value("SELECT current_database()"));
  start();
  insert(1);
  wait_stored(1);
}

}  // namespace
}  // namespace scenarios
