// A small application: a shop whose orders are placed, paid and shipped, each step with its event
// in an outbox, written in the same transaction; and a reader of its own that acts on the events.
// The reader sees every event once, and those of an order in their order, from WAL and by polling,
// while walferry is killed.
#include <algorithm>
#include <map>
#include <set>

#include "tests/scenarios/outbox_rig.h"

namespace scenarios {
namespace {

const std::vector<std::string> steps{"placed", "paid", "shipped"};

// The shop: a few clerks at once, some of whom change their minds before they commit.
class Shop {
 public:
  explicit Shop(std::string conninfo) : conninfo_(std::move(conninfo)) {
    for (int i = 0; i < 4; ++i) clerks_.emplace_back([this] { work(); });
  }
  ~Shop() { close(); }
  void close() {
    closed_ = true;
    for (std::thread& clerk : clerks_) {
      if (clerk.joinable()) clerk.join();
    }
  }

 private:
  void work() {
    PgSession session(conninfo_);
    for (int i = 0; !closed_; ++i) {
      session.exec("SELECT pg_sleep(0.01); BEGIN");
      const std::string order = session.value(
          "INSERT INTO orders (status) VALUES ('placed') "
          "RETURNING id");
      session.exec(said(order, "placed"));
      if (i % 5 == 4) {
        session.exec("ROLLBACK");
        continue;
      }
      session.exec("COMMIT");
      for (const char* step : {"paid", "shipped"}) {
        session.exec("BEGIN; UPDATE orders SET status = " + sql_literal(step) +
                     " WHERE id = " + order + ";" + said(order, step) + "COMMIT");
      }
    }
  }
  static std::string said(const std::string& order, const std::string& step) {
    return "INSERT INTO outbox (aggregate_type, aggregate_id, event_type, payload, headers) VALUES "
           "('order', '" +
           order + "', '" + step + "', '{\"order\": " + order + "}', '{\"trace\": \"t-" + order +
           "\"}');";
  }

  std::string conninfo_;
  std::atomic<bool> closed_{false};
  std::vector<std::thread> clerks_;
};

// Pulls from a durable consumer and acknowledges, as any service would.
class Dispatch {
 public:
  Dispatch(NatsServer& nats, JetStream js) : client_(nats.port()) {
    js.api("CONSUMER.DURABLE.CREATE.CDC.dispatch", {{"stream_name", "CDC"},
                                                    {"config",
                                                     {{"durable_name", "dispatch"},
                                                      {"ack_policy", "explicit"},
                                                      {"filter_subject", "events.order.*"}}}});
  }

  // Until nothing comes for a second.
  void work() {
    while (true) {
      const std::string inbox = client_.new_inbox();
      const int sid = client_.subscribe(inbox);
      client_.publish("$JS.API.CONSUMER.MSG.NEXT.CDC.dispatch",
                      R"({"batch": 100, "expires": 1000000000})", {}, inbox);
      bool any = false;
      while (const auto message = client_.next(seconds(2))) {
        if (!message->status.empty()) break;
        take(*message);
        client_.publish(message->reply, "+ACK");
        any = true;
      }
      client_.unsubscribe(sid);
      if (!any) return;
    }
  }
  const std::map<int, std::vector<std::string>>& orders() const { return orders_; }

 private:
  void take(const NatsMessage& message) {
    EXPECT_TRUE(seen_.insert(message.headers.at("Walferry-Event-Id")).second)
        << "twice: " << message.headers.at("Walferry-Event-Id");
    const auto payload = nlohmann::json::parse(message.payload);
    const int order = payload.at("order").get<int>();
    EXPECT_EQ(message.headers.at("trace"), "t-" + std::to_string(order));
    orders_[order].push_back(message.subject.substr(std::string("events.order.").size()));
  }

  NatsClient client_;
  std::set<std::string> seen_;
  std::map<int, std::vector<std::string>> orders_;
};

class OutboxApplication : public OutboxScenario, public testing::WithParamInterface<const char*> {};

TEST_P(OutboxApplication, ItsReaderSeesEveryEventOnce) {
  const std::string capture = GetParam();
  publish_outbox(capture);
  if (capture == "poll") be_a_reader_only();
  exec("CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, status text)");
  walferry_.start();
  wait_until([&] { return js().stream("CDC").has_value(); }, seconds(60), "the stream");
  if (capture == "wal") wait_streaming();
  Dispatch dispatch(nats_, js());
  Shop shop(postgres_.conninfo());
  for (int i = 0; i < scaled(2, 20); ++i) {
    wait_events(js().message_count("CDC") + 20);
    walferry_.kill_hard();
    walferry_.wait_exit();
    walferry_.start();
  }
  shop.close();
  wait_events(std::stoull(postgres_.value("SELECT count(*) FROM outbox")));
  walferry_.stop();
  dispatch.work();
  EXPECT_EQ(std::to_string(dispatch.orders().size()),
            postgres_.value("SELECT count(*) FROM orders"));
  for (const auto& [order, heard] : dispatch.orders()) EXPECT_EQ(heard, steps) << order;
}

INSTANTIATE_TEST_SUITE_P(Captures, OutboxApplication, testing::Values("wal", "poll"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace scenarios
