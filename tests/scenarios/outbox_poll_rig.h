// A walferry that polls public.outbox, run again and again until there is nothing new.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/scenarios/outbox_rig.h"

namespace scenarios {

class OutboxPollBack : public OutboxScenario {
 protected:
  explicit OutboxPollBack(PostgresOptions postgres = {}) : OutboxScenario(std::move(postgres)) {}
  void SetUp() override {
    OutboxScenario::SetUp();
    publish_outbox("poll", "poll_interval = \"100ms\"\n");
  }
  // Each statement's events are a batch of their own.
  void publish(const std::vector<std::string>& batches) {
    for (const std::string& sql : batches) {
      exec(sql);
      EXPECT_EQ(walferry_.run_to_exit({"--once"}).exit.code, 0);
    }
  }
  std::vector<std::string> ids() {
    std::vector<std::string> all;
    for (const Stored& stored : events()) {
      all.push_back(stored.headers.at("Nats-Msg-Id") + " " +
                    stored.headers.at("Walferry-Event-Id"));
    }
    return all;
  }
  void save_nats() {
    nats_.stop();
    nats_.save_store("before");
    nats_.start();
  }
  // As after a power failure.
  void put_nats_back(const std::string& stream = "") {
    nats_.stop();
    if (stream.empty()) {
      nats_.restore_store("before");
    } else {
      nats_.restore_stream("before", stream);
    }
    nats_.start();
  }
  Finished once(std::vector<std::string> more = {}) {
    more.insert(more.begin(), "--once");
    return walferry_.run_to_exit(more);
  }
};

}  // namespace scenarios
