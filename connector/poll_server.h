// Whether the server still has what was published from it, when polling goes on.
//
// A snapshot of before means nothing to a server that was put back to an earlier state, or promoted
// without its predecessor's last transactions: it gives their numbers to others, whose rows would
// count as published.
//
// Each function returns what is wrong, "" where nothing is. One thread.
#pragma once

#include <string>

#include "connector/poll_resume.h"
#include "connector/poll_rows.h"
#include "outbox/poller.h"
#include "pg/types.h"

namespace connector {

// By its counters alone.
std::string lacks_transactions(const PollWork& work, const outbox::Poller::Look& now,
                               bool same_timeline);

// By the rows of the newest batches, on the timeline of before: it was put back, and has gone on.
std::string has_other_rows(const PollStart& start, BatchRows& rows);

// By the rows of the newest batch, on another timeline: commits come over in their order, so when
// it has those, it has all before. A batch of which nothing was published is given up in `start`
// where its last transaction is not there.
std::string lacks_rows(PollStart& start, BatchRows& rows, pg::Timeline timeline);

}  // namespace connector
