// What the tables have of a batch now, and whether that is what it was published from.
//
// A server that lost its last transactions (put back, or promoted without them) gives their numbers
// to others, and a batch is known by such numbers: rows that nobody has seen would count as
// published. They differ from the published ones by their ids or created_at, or there are more.
//
// One thread. Every function throws pg::Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connector/poll_digest.h"
#include "connector/poll_work.h"
#include "outbox/poller.h"

namespace connector {

class BatchRows {
 public:
  // Borrows all three; `work` may change.
  BatchRows(outbox::Poller& poller, const std::vector<outbox::PolledTable>& tables,
            const PollWork& work)
      : poller_(poller), tables_(tables), work_(work) {}

  // False: the batch has rows of a table that is not configured any more, which are not counted.
  bool covers(std::uint64_t number) const;
  // Behind `after`, up to `upto`; all where there is none.
  std::uint64_t count(std::uint64_t number, const std::optional<PollPlace>& after,
                      const std::optional<PollPlace>& upto);
  // Of the first rows; nothing where there are fewer, or where they do not end at `last`.
  std::optional<PollDigest> digest(std::uint64_t number, std::uint64_t rows,
                                   const std::optional<PollPlace>& last = {});
  // Whether the highest transaction of the batch is there, where it has one of its own. Then no
  // number below is given to another one either.
  bool has_highest(const PollBatch& batch);

  // Of a batch that is complete, or of the open one up to a place: how many of its rows are missing
  // or others. Nothing: none are.
  struct Lack {
    std::uint64_t number = 0;
    std::uint64_t published = 0;
    std::uint64_t there = 0;  // as many: some are others
  };
  std::optional<Lack> lack_of(const PollBatch& batch);
  std::optional<Lack> lack_of_open(const PollPlace& published);

  // A batch of which there are rows that it was not published from. (Fewer are no others: the
  // application may have deleted them.) `published`: how far the open batch is.
  std::optional<std::uint64_t> batch_with_others(const std::optional<PollPlace>& published);

 private:
  bool has_others(std::uint64_t number, std::uint64_t rows, std::uint64_t digest,
                  const PollDigest::Sample& sample, const std::optional<PollPlace>& upto = {});

  outbox::Poller& poller_;
  const std::vector<outbox::PolledTable>& tables_;
  const PollWork& work_;
};

// Of all of them, as text: other columns make other digests of the same rows.
std::string identity_of(const std::vector<outbox::PolledTable>& tables);

// The table of that place in the work, where it is configured.
const outbox::PolledTable* find_table(const std::vector<outbox::PolledTable>& tables,
                                      const PollTable& table);

}  // namespace connector
