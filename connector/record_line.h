// A record as one line for people:
//
//   2026-11-23 10:00:00.123  update    public.orders  id=42  status=new→paid  0/16B3748:3 commit
//
// The time of the commit (UTC), what happened to which row, and the record's position; `commit`
// stands behind a transaction's last record (Debezium's envelopes do not say it). Of an update only
// what changed is shown where the old row is known, else the whole new row. Long values are cut;
// `tail --json` shows the records as they are. The same for each publish.format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "connector/terminal.h"

namespace connector {

// The same, and below an update a line for each column that is not the key's:
//
//       status    new → paid
//       amount    → 12.30            where the old row is not known
//       document  (unchanged)
//
// Of an update whose old row is known, only what changed.
std::string record_diff(std::string_view subject, std::string_view payload, const Palette& palette);

// Without a line break. What is no record is shown by its subject and size.
std::string record_line(std::string_view subject, std::string_view payload, const Palette& palette);

// Of an outbox: subject, id, and the payload where it is text. `commit_ts`: empty where not known.
std::string event_line(std::string_view subject, std::string_view event_id,
                       std::string_view commit_ts, std::string_view payload,
                       const Palette& palette);

}  // namespace connector
