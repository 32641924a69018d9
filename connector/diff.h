// capture = "diff": tables that are compared with what they were, for servers that give no slot.
// DESIGN.md, "Outbox and snapshot-diff".
//
//   due tables ─▶ round (one snapshot) ─▶ files ─▶ position saved ─▶ publish ─▶ acks ─▶ saved
//
// A round's file is complete before the first message of it goes out, and says what each message
// is. How many of them the stream has is the difference between its last sequence and the one that
// was saved before the first: so a run that finds a round half published goes on behind that, and
// one whose stream has gone back publishes again from there. Round files are kept for replay_window
// behind their acks.
#pragma once

#include "connector/config.h"
#include "connector/slotless.h"

namespace connector {

SlotlessCapture diff_capture(const Config& config);

}  // namespace connector
