#include "connector/failpoint.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

namespace connector {
namespace {

struct Armed {
  Failpoint failpoint = Failpoint::none;
  std::atomic<long> passes_left = 0;  // a reader of snapshots passes some
};

constexpr std::array<std::string_view, 22> names = {"",
                                                    "before_publish",
                                                    "stored_unacked",
                                                    "acked_unsaved",
                                                    "saved_unconfirmed",
                                                    "after_publication",
                                                    "after_intent",
                                                    "shape_saved",
                                                    "after_slot_created",
                                                    "before_low_mark",
                                                    "snapshot_piece",
                                                    "before_high_mark",
                                                    "mid_chunk",
                                                    "chunk_stored",
                                                    "progress_saved",
                                                    "order_read",
                                                    "order_saved",
                                                    "publication_altered",
                                                    "before_batch",
                                                    "batch_saved",
                                                    "batch_stored",
                                                    "before_removal"};

void read_environment(Armed& armed) {
  const char* setting = std::getenv("WALFERRY_FAILPOINT");
  if (setting == nullptr) return;
  const std::string_view text(setting);
  const auto colon = text.find(':');
  for (std::size_t i = 1; i < names.size(); ++i) {
    if (text.substr(0, colon) == names[i]) armed.failpoint = static_cast<Failpoint>(i);
  }
  armed.passes_left =
      colon == std::string_view::npos ? 1 : std::strtol(setting + colon + 1, nullptr, 10);
}

}  // namespace

void pass(Failpoint failpoint) {
  static Armed armed;
  static const bool read = (read_environment(armed), true);
  if (read && armed.failpoint == failpoint && --armed.passes_left <= 0) std::raise(SIGKILL);
}

}  // namespace connector
