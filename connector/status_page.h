// What the two halves of `walferry status` share. The page of a walferry with a slot, and what all
// captures have in common, is in status_page.cc; what a capture without a slot shows in the place
// of slot, saved position and snapshots, in slotless_page.cc.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "connector/status.h"
#include "connector/terminal.h"

namespace connector {

// A label in its own column, then what there is to say. The palette must live longer.
class StatusPage {
 public:
  explicit StatusPage(const Palette& palette) : palette_(palette) {}

  void heading(const std::string& name, const std::string& text, const char* colour) {
    out_ += fmt::format("{}{:<11}{}{}{}{}\n", palette_.bold, name, palette_.plain, colour, text,
                        palette_.plain);
  }
  void line(const std::string& label, const std::string& text) {
    out_ += fmt::format("  {}{:<18}{}{}\n", palette_.dim, label, palette_.plain, text);
  }
  std::string take() { return std::move(out_); }
  const Palette& palette() const { return palette_; }

 private:
  const Palette& palette_;
  std::string out_;
};

// "2026-11-23T06:17:10.985945123Z": the fractions of a second say nothing here.
std::string to_the_second(const std::string& time);

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

// Only of a report that is slotless(): who writes, where somebody does; and how far the capture is.
void add_slotless_writer(StatusPage& page, const StatusReport& report);
void add_slotless(StatusPage& page, const StatusReport& report);
// The member that holds the same, "outbox" or "diff".
void add_slotless(nlohmann::ordered_json& json, const StatusReport& report);

}  // namespace connector
