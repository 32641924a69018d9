// Where in a stream a position or a time is, by bisection over its sequences.
//
// Positions rise with sequences. Commit times nearly do: a transaction takes its time before it
// takes its place in WAL, so that times run backwards, by up to some milliseconds. The first record
// at or after a time is the first whose running maximum reaches it, that is, the first whose own
// time does:
//
//   time       10.000  10.004  10.003  10.007  10.006  10.008
//   wanted: 10.005                      ^^^^^^ not found by a bisection for 10.005 that happens to
//                                       look at what lies behind it in between
//
// So what is bisected for is the time less the furthest that times run backwards (one second is
// taken, much more than was ever seen); all before what that finds is earlier than the time wanted,
// and from there on transactions are looked at one by one.
//
// No I/O: how a message is got goes in, so that every stream can be made up in a test.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "connector/message_position.h"
#include "pg/types.h"
#include "publisher/types.h"

namespace connector {

// What a stored message says of its place.
struct Stamp {
  publisher::StreamSequence sequence;
  MessagePosition position;
  std::optional<pg::Timestamp> committed;  // nothing: a schema record, a snapshot's row, …
};

// The first message at or after a sequence that has a place, or a time too. Nothing: there is none.
enum class Wanted { place, time };
using NextStamp = std::function<std::optional<Stamp>(publisher::StreamSequence from, Wanted)>;

struct StreamRange {
  publisher::StreamSequence first, last;
};

inline constexpr std::chrono::microseconds most_backwards{std::chrono::seconds(1)};

// The first message whose commit LSN is at or after `lsn`; nothing when all lie before it.
std::optional<Stamp> seek_lsn(StreamRange range, const NextStamp& next, pg::Lsn lsn);
// The first record that was committed at or after `time`.
std::optional<Stamp> seek_time(StreamRange range, const NextStamp& next, pg::Timestamp time);

}  // namespace connector
