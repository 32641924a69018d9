// What a configured value may look like, one small function for each kind. A check answers what is
// wrong and what is allowed, or nothing ("") when the value is fine; it never repeats the value, so
// that it can be used on secrets too.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace connector {

// "250ms", "30s", "2m", "3h", "7d", "0"; at most 36,500 days, so that nanoseconds fit 64 bits.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// "512B", "64KiB", "8MiB", "10GiB", "1TiB", "0"; at most 2^63 - 1 bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);

// The way back, in the largest unit that is exact: "2m", "250ms", "0"; "64MiB", "100B", "0".
std::string duration_text(std::chrono::milliseconds value);
std::string size_text(std::uint64_t bytes);

// Of the logical messages that mark chunks of snapshots, those of all walferrys: see
// SnapshotReader. They are never published.
inline constexpr std::string_view snapshot_mark_prefix = "walferry.snapshot";
// Of those that bring an order; see snapshot_order.h.
inline constexpr std::string_view snapshot_order_prefix = "walferry.snapshot.order";
// Of those that say where tables joined; see joined_tables.h.
inline constexpr std::string_view publication_prefix = "walferry.publication";

std::string check_slot_name(std::string_view text);
std::string check_mark_name(std::string_view text);  // what comes behind "{slot}_mark_"
std::string check_publication_name(std::string_view text);
std::string check_stream_name(std::string_view text);     // also JetStream's domain
std::string check_subject_prefix(std::string_view text);  // no wildcards
std::string check_subject(std::string_view text);         // a NATS filter, wildcards allowed
std::string check_nats_urls(std::string_view text);       // comma separated
std::string check_table_name(std::string_view text);      // what parse_table_name would throw
std::string check_column_name(std::string_view text);
std::string check_readable_file(std::string_view text);
std::string check_spill_dir(std::string_view text);  // "" is fine
std::string check_dsn(std::string_view text);
std::string check_not_empty(std::string_view text);
std::string check_message_prefix(std::string_view text);  // of logical messages; "*": all

// The longest prefix of a logical message that is published: it goes into subject and header.
inline constexpr std::size_t longest_message_prefix = 255;

// ${NAME} becomes the environment variable, $${ a literal ${. On failure `problem` says why, and
// repeats no more of the text than a variable's name.
std::optional<std::string> substitute(std::string_view text, std::string& problem);

// The candidate that is fewest edits away, when that is close enough to be a slip of the finger;
// else "".
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace connector
