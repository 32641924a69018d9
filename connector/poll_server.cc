#include "connector/poll_server.h"

#include <fmt/format.h>

namespace connector {
namespace {

void require_highest(PollStart& start, BatchRows& rows) {
  PollWork& work = start.work;
  const std::uint64_t number = work.open->number;
  if (rows.has_highest(*work.open)) return;
  start.notes.push_back(fmt::format(
      "the server is on another timeline, and lacks what batch {} was to publish: it is read anew",
      number));
  work.open.reset();
  for (PollTable& table : work.tables) {
    if (table.since == number) table.since = work.last + 1;
  }
  if (start.batch == number) start.batch = 0;
}

std::optional<BatchRows::Lack> lack_of_newest(PollStart& start, BatchRows& rows) {
  const PollBatch& newest = start.work.batches.back();
  if (rows.covers(newest.number)) return rows.lack_of(newest);
  start.notes.push_back(fmt::format(
      "batch {} has events of a table that is not in the configuration any more: whether this "
      "server has all of them was not looked at",
      newest.number));
  return std::nullopt;
}

}  // namespace

std::string lacks_transactions(const PollWork& work, const outbox::Poller::Look& now,
                               bool same_timeline) {
  if (work.newest().empty()) return "";
  const auto newest = pg::Visibility::parse(work.newest());
  const auto then = pg::parse_lsn(work.wal_end);
  const auto ends = pg::parse_lsn(now.wal_end);
  const bool shorter = same_timeline && then && ends && *ends < *then;
  if (newest && newest->xmax() <= now.now.xmax() && !shorter) return "";
  return fmt::format(
      "the server's next transaction is {} and its WAL ends at {}, and events of transactions up "
      "to "
      "{} were published when it ended at {}: it was put back to an earlier state",
      now.now.xmax(), now.wal_end, newest ? newest->xmax() - 1 : 0, work.wal_end);
}

std::string has_other_rows(const PollStart& start, BatchRows& rows) {
  const auto number = rows.batch_with_others(start.of_open());
  if (!number) return "";
  return fmt::format(
      "the server has other rows than those that batch {} was published from: it was put back to "
      "an "
      "earlier state, and gave transactions' numbers again",
      *number);
}

std::string lacks_rows(PollStart& start, BatchRows& rows, pg::Timeline timeline) {
  const auto published = start.of_open();
  std::optional<BatchRows::Lack> lack;
  bool compared = false;
  if (published) {
    lack = rows.lack_of_open(*published);
    compared = start.work.place && start.work.place->digest != 0;
  } else if (start.work.open) {
    require_highest(start, rows);
  }
  if (!lack && !compared && !start.work.batches.empty()) lack = lack_of_newest(start, rows);
  if (lack) {
    return fmt::format(
        "the server is on timeline {}, and of the {} events of batch {} that were published it has "
        "{}: it was promoted without its predecessor's last transactions, or the application has "
        "deleted them",
        timeline.value, lack->published, lack->number,
        lack->there == lack->published ? "others" : std::to_string(lack->there));
  }
  start.notes.emplace_back("the server is on another timeline; it has all that was published last");
  return "";
}

}  // namespace connector
