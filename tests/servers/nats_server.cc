// nats-server as a child process, alone and as a cluster of three.
#include "tests/servers/nats_server.h"

#include <algorithm>
#include <filesystem>
#include <stdexcept>

namespace servers {
namespace {

namespace fs = std::filesystem;

std::string program() {
  for (const char* path :
       {"/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"}) {
    if (fs::exists(path)) {
      return path;
    }
  }
  throw std::runtime_error("nats-server is not installed");
}

void copy_folder(const std::string& from, const std::string& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

}  // namespace

NatsServer::NatsServer(NatsOptions options) : options_(std::move(options)) {
  if (options_.start) {
    start();
  }
}

NatsServer::~NatsServer() = default;

std::string NatsServer::config() const {
  std::string text = "listen: 127.0.0.1:" + lease_.text() + "\n";
  if (!options_.name.empty()) {
    text += "server_name: " + options_.name + "\n";
  }
  if (options_.max_payload > 0) {
    text += "max_payload: " + std::to_string(options_.max_payload) + "\n";
  }
  if (!options_.login.user.empty()) {
    text += "authorization { user: \"" + options_.login.user + "\", password: \"" +
            options_.login.password + "\" }\n";
  } else if (!options_.login.token.empty()) {
    text += "authorization { token: \"" + options_.login.token + "\" }\n";
  }
  return text + "jetstream { store_dir: \"" + dir_.file("store") +
         "\", max_memory_store: 1GB, max_file_store: 20GB" +
         (options_.domain.empty() ? "" : ", domain: " + options_.domain) + " }\n" + options_.more +
         "\n";
}

void NatsServer::launch() {
  write_file(dir_.file("conf"), config());
  process_ = std::make_unique<Process>(
      Spawn{.argv = {program(), "-c", dir_.file("conf")}, .stderr_file = dir_.file("log")});
}

void NatsServer::start() {
  launch();
  wait_until([this] { return !running() || jetstream().available(); }, seconds(60),
             "start of nats-server");
  if (!running()) {
    throw std::runtime_error("nats-server did not start: " + log());
  }
}

void NatsServer::stop() {
  process_->send(SIGTERM);
  process_->wait_exit(seconds(30));
}

void NatsServer::kill_hard() { process_->kill_hard(); }

void NatsServer::save_store(const std::string& name) {
  copy_folder(dir_.file("store"), dir_.file(name));
}

void NatsServer::restore_store(const std::string& name) {
  copy_folder(dir_.file(name), dir_.file("store"));
}

void NatsServer::restore_stream(const std::string& name, const std::string& stream) {
  const std::string folder = "/jetstream/$G/streams/" + stream;
  copy_folder(dir_.file(name) + folder, dir_.file("store") + folder);
}

void NatsServer::wipe_store() { fs::remove_all(dir_.file("store")); }

std::pair<int, int> NatsServer::version() const {
  const NatsClient client(port(), options_.reader.given() ? options_.reader : options_.login);
  const std::string text = nlohmann::json::parse(client.server_info()).at("version");
  const auto dot = text.find('.');
  return {std::stoi(text), std::stoi(text.substr(dot + 1))};
}

NatsCluster::NatsCluster(const std::array<std::string, 3>& more) {
  constexpr std::size_t count = 3;
  std::string routes;
  for (std::size_t i = 0; i < count; ++i) {
    routes_.push_back(std::make_unique<PortLease>());
    routes += (i == 0 ? "nats://127.0.0.1:" : ", nats://127.0.0.1:") + routes_.back()->text();
  }
  for (std::size_t i = 0; i < count; ++i) {
    NatsOptions options{.name = "n" + std::to_string(i), .start = false};
    options.more = "cluster { name: c, listen: \"127.0.0.1:" + routes_[i]->text() +
                   "\", routes: [" + routes + "] }\n" + more.at(i);
    servers_.push_back(std::make_unique<NatsServer>(options));
    servers_.back()->launch();
  }
  wait_until(
      [this] {
        if (std::any_of(servers_.begin(), servers_.end(),
                        [](const auto& server) { return !server->running(); })) {
          throw std::runtime_error("a server ended: " + servers_.front()->log());
        }
        JetStream js = jetstream();
        js.create_stream(
            {{"name", "PROBE"}, {"num_replicas", routes_.size()}, {"subjects", {"probe"}}});
        js.delete_stream("PROBE");
        return true;
      },
      seconds(60), "the cluster of three accepts streams");
}

NatsServer& NatsCluster::named(const std::string& name) {
  const auto found = std::find_if(servers_.begin(), servers_.end(),
                                  [&](const auto& server) { return server->name() == name; });
  if (found == servers_.end()) {
    throw std::runtime_error("no server " + name);
  }
  return **found;
}

JetStream NatsCluster::jetstream() const {
  std::vector<std::uint16_t> ports;
  for (const auto& server : servers_) {
    ports.push_back(server->port());
  }
  return JetStream(ports);
}

std::string NatsCluster::url() const {
  std::string urls;
  for (const auto& server : servers_) {
    urls += (urls.empty() ? "" : ",") + server->url();
  }
  return urls;
}

void NatsCluster::step_down(const std::string& stream) {
  jetstream().api("STREAM.LEADER.STEPDOWN." + stream);
}

void NatsCluster::wait_whole(const std::string& stream) {
  wait_until(
      [&] {
        const auto info = jetstream().stream(stream);
        if (!info) {
          return false;
        }
        // A leader that was just elected may not list the others yet.
        const auto cluster = info->value("cluster", nlohmann::json::object());
        const auto replicas = cluster.value("replicas", nlohmann::json::array());
        if (cluster.value("leader", "").empty()) {
          return false;
        }
        return replicas.size() == 2 &&
               std::all_of(replicas.begin(), replicas.end(), [](const auto& replica) {
                 return replica.value("current", false) && !replica.value("offline", false) &&
                        replica.value("lag", 0) == 0;
               });
      },
      seconds(60), "all replicas of " + stream + " are current");
}

}  // namespace servers
