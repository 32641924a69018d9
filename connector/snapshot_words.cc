#include "connector/snapshot_words.h"

#include <fmt/format.h>

#include "connector/terminal.h"

namespace connector {

std::string how_far(const TableSnapshot& reading) {
  using State = TableSnapshot::State;
  std::string words;
  if (reading.state != State::running) words = name_of(reading.state);
  const bool begun = !reading.steps.empty() || reading.state == State::running;
  if (begun) {
    const bool guess = reading.about > 0 && reading.state != State::complete;
    words += fmt::format("{}{}{} rows", words.empty() ? "" : ", ", human_number(reading.rows()),
                         guess ? " of about " + human_number(reading.about) : "");
    if (guess) words += fmt::format(" ({:.0f} %)", reading.share().value_or(0) * 100);
  }
  if (reading.rate > 0 && reading.state == State::running) {
    words += fmt::format(", {} a second", human_number(reading.rate));
  }
  if (const auto left = reading.seconds_left()) words += fmt::format(", {} left", human_age(*left));
  if (!reading.note.empty()) words += ": " + reading.note;
  return words;
}

}  // namespace connector
