// Publishes again, to a stream of its own, what was committed from one position on and before
// another, beside a daemon that goes on undisturbed.
//
//   daemon's slot, or a mark ──copy──▶ temporary slot ──▶ Pump ──▶ {name}_REPLAY
//
// The copy begins at its source's confirmed position, belongs to the connection that made it, and
// is gone with it; nothing is ever confirmed on it, and no position is saved. The stream itself
// says how far a replay has come: its ids are "{slot}_replay_{from}:{commit LSN}:{ordinal}", so
// that the same command goes on behind what is stored, however often it was interrupted, and a
// stream that holds anything else is refused. WAL is read from `from` each time: so shapes are
// announced at the same places.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "connector/cli.h"
#include "connector/config.h"
#include "connector/marks.h"
#include "connector/reread.h"
#include "publisher/stream.h"

namespace connector {

// The configuration that the replay publishes under: stream, subjects and ids are its own. Throws
// Stop(usage) where they are those of the stream that is replayed, or overlap them.
Config replay_config(const Config& config, const ReplayCommand& command);

// "walferry_replay_00000000016B3748"
std::string replay_id(const std::string& slot, pg::Lsn from);

// What a replay's stream no longer holds of what was written into it from message 1 on (its own
// limits may drop the beginning while the end is written); nothing: it holds all.
std::optional<std::string> lost_from(const std::string& stream, const publisher::StreamInfo& info);

// What a replay finds in its stream, from the stream's last messages, whose positions are those of
// this replay's ids. Throws Stop(precondition) when the stream holds anything but this replay's
// beginning; Stop(failed) when it has lost a part of that.
Reread::Known replayed(const std::string& stream, const publisher::StreamInfo& info,
                       std::vector<StoredRecord> window, pg::Lsn wal_end);

// Throws Stop(position_lost) that names the oldest position which can be read; Stop(precondition)
// where there is no slot at all.
ReplayPoint require_point(const std::vector<ReplayPoint>& points, pg::Lsn from);

}  // namespace connector
