// Follows the stream: every stored message once, in order, readable or as it is.
//
// What is not known at once is waited for: when nats-server goes away, or the stream does, tail
// connects again and goes on behind the last message that it has shown. It ends when it is told
// to (SIGINT, SIGTERM) or when nobody reads it any more, and then with 0.
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

#include "connector/attach.h"
#include "connector/interrupt.h"
#include "connector/message_position.h"
#include "connector/record_line.h"
#include "connector/remedy.h"
#include "connector/stamps.h"
#include "connector/stop.h"
#include "connector/subject_filter.h"
#include "connector/terminal.h"
#include "connector/verbs.h"
#include "publisher/consumer.h"
#include "publisher/error.h"
#include "publisher/stream.h"

namespace connector {
namespace {

using std::chrono::milliseconds;

// Standard output, written whole lines at a time: what reads it sees no half of one.
class Output {
 public:
  void add(std::string_view line) {
    text_ += line;
    text_ += '\n';
    if (text_.size() >= batch) flush();
  }

  void flush() {
    std::string_view rest = text_;
    while (!rest.empty() && open_) {
      const ssize_t written = write(STDOUT_FILENO, rest.data(), rest.size());
      if (written >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
      } else if (errno == EPIPE) {
        open_ = false;
      } else if (errno != EINTR) {
        throw std::system_error(errno, std::generic_category(), "writing to standard output");
      }
    }
    text_.clear();
  }

  // False once nobody reads any more; looks also when there is nothing to write.
  bool open() {
    pollfd reader{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
    if (poll(&reader, 1, 0) > 0 && (reader.revents & (POLLERR | POLLHUP)) != 0) open_ = false;
    return open_;
  }

 private:
  static constexpr std::size_t batch = 64 * 1024;
  std::string text_;
  bool open_ = true;
};

class Tail {
 public:
  Tail(const Config& config, const TailCommand& command, const Wakeup& wakeup)
      : config_(config),
        command_(command),
        filter_(subject_filter(config, command.subject)),
        wakeup_(wakeup) {}

  void run() {
    milliseconds pause = shortest;
    while (!over()) {
      try {
        follow(pause);
      } catch (const publisher::Error& error) {
        output_.flush();
        if (!next_ || !passes(error)) throw;
        if (!said_lost_) spdlog::warn("{}; trying again", one_line(error.what()));
        said_lost_ = true;
        wakeup_.wait_for(pause);
        pause = std::min(pause * 2, longest);
      }
    }
    output_.flush();
  }

 private:
  static constexpr milliseconds shortest{100};
  static constexpr milliseconds longest{5'000};
  static constexpr milliseconds look_up{200};  // how often to see whether it is over
  static constexpr int stream_not_found = 10059;

  bool over() { return wakeup_.stop_requested() || !output_.open(); }

  static bool passes(const publisher::Error& error) {
    return remedy_for(error).retry || error.api_code() == stream_not_found;
  }

  void follow(milliseconds& pause) {
    const auto nats = attach_nats(config_);
    choose_start(*nats);
    publisher::Consumer consumer(*nats, config_.stream.name, filter_, *next_);
    if (said_lost_) spdlog::info("following again, from message {} on", next_->value);
    said_lost_ = false;
    while (!over()) {
      auto delivery = consumer.next(look_up);
      for (; delivery && !wakeup_.stop_requested(); delivery = consumer.next(milliseconds(0))) {
        show(*delivery);
        next_ = consumer.position();
        pause = shortest;
      }
      output_.flush();
    }
  }

  publisher::StreamSequence first_shown(publisher::Connection& nats,
                                        const publisher::StreamInfo& info) const {
    if (command_.last) {
      return publisher::nth_last(nats, config_.stream.name, filter_, info.first, info.last,
                                 *command_.last);
    }
    if (command_.from_lsn) {
      Stamps stamps(nats, config_);
      if (const auto found = seek(stamps, info, *command_.from_lsn)) return found->sequence;
      spdlog::warn("the stream ends before {}: following what comes now",
                   to_string(*command_.from_lsn));
    }
    return publisher::StreamSequence(info.last.value + 1);
  }

  void choose_start(publisher::Connection& nats) {
    const auto info = publisher::stream_info(nats, config_.stream.name);
    if (!info && !next_) {
      throw Stop(Exit::precondition, fmt::format("stream {} does not exist", config_.stream.name),
                 "`walferry run` creates it; or correct stream.name");
    }
    if (!info) {
      throw publisher::Error(publisher::Failure::unavailable,
                             fmt::format("stream {} does not exist", config_.stream.name));
    }
    if (!next_) {
      next_ = first_shown(nats, *info);
    } else if (info->created != created_) {
      spdlog::warn("stream {} was made anew: following it from its beginning", config_.stream.name);
      next_ = info->first;
    } else if (info->last.value + 1 < next_->value) {
      spdlog::warn("stream {} has lost its messages from {} on: following what comes now",
                   config_.stream.name, info->last.value + 1);
      next_ = publisher::StreamSequence(info->last.value + 1);
    }
    created_ = info->created;
  }

  // Parts are joined, packs are shown line by line.
  void show(publisher::Delivery& delivery) {
    if (!whole_record(delivery)) return;
    std::string_view rest = delivery.payload;
    const bool pack = delivery.header(changes_header) != nullptr;
    do {
      const std::size_t end = pack ? std::min(rest.find('\n'), rest.size()) : rest.size();
      show_one(delivery.subject, rest.substr(0, end));
      rest.remove_prefix(std::min(rest.size(), end + 1));
    } while (!rest.empty());
  }

  // False while parts are still to come; with the last one the payload is the whole record's.
  bool whole_record(publisher::Delivery& delivery) {
    const std::string* part = delivery.header(part_header);
    const std::string* parts = delivery.header(parts_header);
    if (part == nullptr || parts == nullptr) return true;
    if (*part == "1") joined_.clear();
    joined_ += delivery.payload;
    if (*part != *parts) return false;
    delivery.payload = std::exchange(joined_, {});
    return true;
  }

  void show_one(const std::string& subject, std::string_view payload) {
    if (!command_.json) {
      output_.add(command_.diff ? record_diff(subject, payload, palette_)
                                : record_line(subject, payload, palette_));
    } else if (!payload.empty() && payload.front() == '{' &&
               payload.find('\n') == std::string_view::npos) {
      output_.add(payload);
    } else if (!said_left_out_) {
      spdlog::warn("messages that are no records are left out: {} is the first", subject);
      said_left_out_ = true;
    }
  }

  const Config& config_;
  const TailCommand& command_;
  const std::string filter_;
  const Wakeup& wakeup_;
  const Palette palette_ = palette_for_stdout();
  Output output_;
  std::optional<publisher::StreamSequence> next_;
  std::string joined_;   // of a record whose last part has not come yet
  std::string created_;  // the stream that next_ is a place in
  bool said_lost_ = false;
  bool said_left_out_ = false;
};

}  // namespace

int tail(const Config& config, const TailCommand& command) {
  Wakeup wakeup;
  const Interrupt interrupt(wakeup);
  Tail(config, command, wakeup).run();
  return static_cast<int>(Exit::done);
}

}  // namespace connector
