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
#include <charconv>
#include <chrono>
#include <system_error>

#include "connector/attach.h"
#include "connector/interrupt.h"
#include "connector/message_position.h"
#include "connector/record_line.h"
#include "connector/remedy.h"
#include "connector/stamps.h"
#include "connector/stop.h"
#include "connector/stored_change.h"
#include "connector/subject_filter.h"
#include "connector/terminal.h"
#include "connector/verbs.h"
#include "publisher/consumer.h"
#include "publisher/error.h"
#include "publisher/stream.h"
#include "publisher/tail.h"

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
  static constexpr std::uint64_t most_looked_through = 10'000;
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

  // Where the last so many records begin: the parts of one count as one. (Of more than can be
  // looked through in a moment, as messages.)
  publisher::StreamSequence last_records(publisher::Connection& nats,
                                         const publisher::StreamInfo& info,
                                         std::uint64_t wanted) const {
    if (info.messages == 0) return publisher::StreamSequence(info.last.value + 1);
    std::uint64_t messages = wanted;
    while (true) {
      const auto at = beginning_of_record(
          nats,
          publisher::nth_last(nats, config_.stream.name, filter_, info.first, info.last, messages));
      if (at <= info.first || messages > most_looked_through) return at;
      const auto stored =
          publisher::read_back(nats, config_.stream.name, at, info.last,
                               info.last.value - at.value + 1, std::uint64_t{1} << 40);
      std::uint64_t shown = 0;
      std::uint64_t records = 0;
      for (const publisher::StoredMessage& message : stored) {
        if (!filter_.empty() && !publisher::covers(filter_, message.subject)) continue;
        ++shown;
        const std::string* part = message.header(part_header);
        const std::string* parts = message.header(parts_header);
        if (part == nullptr || parts == nullptr || *part == *parts) ++records;
      }
      if (records >= wanted) return at;
      messages = std::max(messages, shown) + wanted - records;
    }
  }

  // The parts of a record stand side by side.
  publisher::StreamSequence beginning_of_record(publisher::Connection& nats,
                                                publisher::StreamSequence at) const {
    const auto number_at = [&](publisher::StreamSequence sequence) -> std::uint64_t {
      const auto message = publisher::get_message(nats, config_.stream.name, sequence);
      const std::string* part = message ? message->header(part_header) : nullptr;
      std::uint64_t number = 0;
      if (part != nullptr) std::from_chars(part->data(), part->data() + part->size(), number);
      return number;
    };
    const std::uint64_t part = number_at(at);
    if (part < 2 || part > at.value) return at;
    const publisher::StreamSequence first(at.value - part + 1);
    return number_at(first) == 1 ? first : at;
  }

  publisher::StreamSequence first_shown(publisher::Connection& nats,
                                        const publisher::StreamInfo& info) const {
    if (command_.last) {
      return last_records(nats, info, *command_.last);
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

  // Parts are joined, packs are shown line by line. A record whose beginning is gone is left out.
  void show(publisher::Delivery& delivery) {
    const std::string* const event = delivery.header("Walferry-Event-Id");
    const std::string* const time = delivery.header(commit_time_header);
    lines_.take(delivery, [&](std::string_view record) {
      if (event == nullptr || command_.json) return show_one(delivery.subject, record);
      output_.add(
          event_line(delivery.subject, *event, time == nullptr ? "" : *time, record, palette_));
    });
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
  MessageLines lines_;
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
