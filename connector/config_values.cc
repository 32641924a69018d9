// Syntax of single values. The sources of the rules: JetStream's names and subjects from
// nats-server's checks of them, slot names from ReplicationSlotValidateName, 63 bytes from
// PostgreSQL's NAMEDATALEN.
#include "connector/config_values.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <system_error>

#include "connector/config.h"
#include "pg/conninfo.h"

namespace connector {
namespace {

constexpr std::size_t max_name_bytes = 63;
constexpr std::string_view insert_suffix = "_insert";

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
constexpr std::array<Unit, 5> duration_units{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 5> size_units{
    {{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};
constexpr std::uint64_t max_duration_ms = 36'500ULL * 86'400'000;
constexpr std::uint64_t max_size = std::numeric_limits<std::int64_t>::max();

template <std::size_t N>
std::optional<std::uint64_t> parse_quantity(std::string_view text, const std::array<Unit, N>& units,
                                            std::uint64_t max) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  if (suffix.empty() && number == 0) return 0;
  for (const Unit& unit : units) {
    if (unit.name != suffix) continue;
    if (number > max / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string quantity_text(std::uint64_t value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return fmt::format("{}{}", value / unit.factor, unit.name);
    }
  }
  return "0";
}

bool is_printing(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A..Z, a..z, _ without the locale.
bool is_name_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && !is_printing(text.front())) text.remove_prefix(1);
  while (!text.empty() && !is_printing(text.back())) text.remove_suffix(1);
  return text;
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && rest == text.data() + text.size() && port >= 1 && port <= 65535;
}

// host, host:port, [v6] or [v6]:port, behind an optional user:password@.
bool is_host_and_port(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos) text.remove_prefix(at + 1);
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_printing)) return false;
  if (text.find('/') != std::string_view::npos) return false;
  std::size_t host_end = text.find(':');
  if (text.front() == '[') {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket == 1) return false;
    host_end = bracket + 1;
  }
  if (host_end == 0) return false;
  if (host_end >= text.size()) return true;
  return text[host_end] == ':' && is_port(text.substr(host_end + 1));
}

// One part of schema.table, taken off the front of `rest`.
struct Part {
  std::string text;
  bool quoted = false;
};

Part take_quoted(std::string_view& rest) {
  Part part{.text = "", .quoted = true};
  std::size_t i = 1;
  for (;; ++i) {
    if (i >= rest.size()) throw std::invalid_argument("has a double quote that is never closed");
    if (rest[i] != '"') {
      part.text += rest[i];
    } else if (i + 1 < rest.size() && rest[i + 1] == '"') {
      part.text += '"';
      ++i;
    } else {
      break;
    }
  }
  rest.remove_prefix(i + 1);
  if (!rest.empty() && rest.front() != '.') {
    throw std::invalid_argument(
        "goes on behind a closing double quote; inside of quotes a double quote is written twice");
  }
  return part;
}

Part take_part(std::string_view& rest) {
  Part part;
  if (!rest.empty() && rest.front() == '"') {
    part = take_quoted(rest);
  } else {
    part.text = rest.substr(0, rest.find('.'));
    rest.remove_prefix(part.text.size());
    if (part.text.find('"') != std::string::npos) {
      throw std::invalid_argument(
          "has a double quote inside of a bare name; quote the whole name and double that quote");
    }
  }
  if (part.text.empty()) throw std::invalid_argument("has an empty part; write schema.table");
  if (part.text.size() > max_name_bytes) {
    throw std::invalid_argument("has a part of more than 63 bytes, PostgreSQL's limit for a name");
  }
  if (part.text.find('\0') != std::string::npos) throw std::invalid_argument("has a NUL in it");
  return part;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto ms = parse_quantity(text, duration_units, max_duration_ms);
  if (!ms) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_quantity(text, size_units, max_size);
}

std::string duration_text(std::chrono::milliseconds value) {
  return quantity_text(static_cast<std::uint64_t>(value.count()), duration_units);
}

std::string size_text(std::uint64_t bytes) { return quantity_text(bytes, size_units); }

std::string check_slot_name(std::string_view text) {
  const bool fits = !text.empty() && text.size() <= max_name_bytes &&
                    std::all_of(text.begin(), text.end(), [](char c) {
                      return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_';
                    });
  return fits ? "" : "is no slot name; use 1 to 63 of a-z, 0-9 and _";
}

// "_mark_" within it would make it another slot's mark.
std::string check_mark_name(std::string_view text) {
  if (!check_slot_name(text).empty()) return "is no name of a mark; use a-z, 0-9 and _";
  return fmt::format("_{}_", text).find("_mark_") == std::string::npos
             ? ""
             : "must not have _mark_ in it";
}

std::string check_publication_name(std::string_view text) {
  constexpr std::size_t max = max_name_bytes - insert_suffix.size();
  if (text.size() > max) {
    return fmt::format(
        "is {} bytes long; use at most {}, so that its companion's name, with {} behind, fits 63",
        text.size(), max, insert_suffix);
  }
  return "";
}

std::string check_stream_name(std::string_view text) {
  const bool fits = !text.empty() && text.size() <= 255 &&
                    std::all_of(text.begin(), text.end(), is_printing) &&
                    text.find_first_of(".*>/\\") == std::string_view::npos;
  return fits ? "" : "is no JetStream name; use 1 to 255 bytes without white space, . * > / \\";
}

std::string check_subject(std::string_view text) {
  if (text.empty()) return "is empty; write a NATS subject such as orders.>";
  if (!std::all_of(text.begin(), text.end(), is_printing)) {
    return "is no NATS subject; use no white space and no control characters";
  }
  if (text.front() == '$') return "begins with $, which NATS keeps for itself; use another word";
  const std::vector<std::string_view> tokens = split(text, '.');
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].empty()) return "is no NATS subject; put something before and behind each dot";
    const bool wildcard = tokens[i].find_first_of("*>") != std::string_view::npos;
    if (wildcard && tokens[i].size() > 1) return "is no NATS subject; * and > stand alone";
    if (tokens[i] == ">" && i + 1 < tokens.size()) return "is no NATS subject; > comes last";
  }
  return "";
}

std::string check_subject_prefix(std::string_view text) {
  if (text.size() > 255) return "is too long; use at most 255 bytes";
  std::string problem = check_subject(text);
  if (problem.empty() && text.find_first_of("*>") != std::string_view::npos) {
    problem = "has a wildcard; use plain words with dots between";
  }
  return problem;
}

std::string check_nats_urls(std::string_view text) {
  for (std::string_view url : split(text, ',')) {
    url = trimmed(url);
    const std::size_t scheme = url.find("://");
    const bool known = scheme != std::string_view::npos &&
                       (url.substr(0, scheme) == "nats" || url.substr(0, scheme) == "tls");
    if (!known || !is_host_and_port(url.substr(scheme + 3))) {
      return "is no NATS address; write nats://host:4222 or tls://host:4222, several with commas "
             "between";
    }
  }
  return "";
}

std::string check_table_name(std::string_view text) {
  try {
    parse_table_name(text);
    return "";
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
}

std::string check_column_name(std::string_view text) {
  return text.empty() || text.size() > max_name_bytes ? "is no column's name; use 1 to 63 bytes"
                                                      : "";
}

std::string check_readable_file(std::string_view text) {
  const std::string path(text);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || ::access(path.c_str(), R_OK) != 0) {
    return fmt::format("cannot be read ({}); name a file that walferry's user may read",
                       std::generic_category().message(errno));
  }
  return S_ISDIR(status.st_mode) ? "is a directory; name a file" : "";
}

std::string check_spill_dir(std::string_view text) {
  if (text.empty()) return "";
  const std::string path(text);
  struct stat status {};
  if (path.front() != '/') return "is no absolute path; write one, such as \"/var/tmp\"";
  if (::stat(path.c_str(), &status) != 0) {
    return fmt::format("cannot be looked at ({}); name a folder that exists",
                       std::generic_category().message(errno));
  }
  if (!S_ISDIR(status.st_mode)) return "is no folder; name one";
  return ::access(path.c_str(), W_OK | X_OK) == 0
             ? ""
             : "may not be written to; name a folder that walferry's user may write to";
}

std::string check_dsn(std::string_view text) {
  constexpr const char* allowed =
      "write libpq's \"host=... dbname=... user=...\" or \"postgresql://user@host/dbname\"";
  if (text.empty()) return fmt::format("is empty; {}", allowed);
  try {
    pg::connect_params(std::string(text), pg::Session::sql);
    return "";
  } catch (const std::exception&) {
    return fmt::format("is no connection string that libpq understands; {}", allowed);
  }
}

std::string check_not_empty(std::string_view text) {
  return text.empty() ? "is empty; leave it out instead" : "";
}

std::string check_message_prefix(std::string_view text) {
  if (text == snapshot_mark_prefix) return "is walferry's own, for the marks of snapshots";
  if (text == snapshot_order_prefix) return "is walferry's own, for `walferry snapshot`";
  if (text == publication_prefix) return "is walferry's own, for where tables join";
  return text.size() > longest_message_prefix ? "is longer than 255 bytes" : "";
}

TableConfig parse_table_name(std::string_view name) {
  if (name.empty()) throw std::invalid_argument("is empty; write schema.table");
  const Part schema = take_part(name);
  if (name.empty()) throw std::invalid_argument("has no schema; write schema.table");
  name.remove_prefix(1);
  const Part table = take_part(name);
  if (!name.empty()) {
    throw std::invalid_argument(
        "has more than two parts; write schema.table, a name with a dot in double quotes");
  }
  const bool pattern = !table.quoted && table.text == "*";
  const auto has_star = [](const Part& part) {
    return !part.quoted && part.text.find('*') != std::string::npos;
  };
  if (has_star(schema) || (has_star(table) && !pattern)) {
    throw std::invalid_argument(
        "is no pattern that is known; schema.* takes all tables, a literal * needs double quotes");
  }
  return {.schema = schema.text, .table = table.text, .pattern = pattern};
}

std::optional<std::string> substitute(std::string_view text, std::string& problem) {
  std::string result;
  for (std::size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${")) {
    if (at > 0 && text[at - 1] == '$') {
      result.append(text.substr(0, at)).append("{");
      text.remove_prefix(at + 2);
      continue;
    }
    result.append(text.substr(0, at));
    text.remove_prefix(at + 2);
    const std::string name(text.substr(0, text.find('}')));
    const bool legal = !name.empty() && name.size() < text.size() && is_name_start(name[0]) &&
                       std::all_of(name.begin(), name.end(),
                                   [](char c) { return is_name_start(c) || is_digit(c); });
    if (!legal) {
      problem = "has a ${ that begins no variable; write ${NAME}, or $${ for a literal ${";
      return std::nullopt;
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      problem = fmt::format(
          "uses the environment variable {}, which is not set; set it (empty is allowed)", name);
      return std::nullopt;
    }
    result.append(value);
    text.remove_prefix(name.size() + 1);
  }
  return result.append(text);
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  if (word.size() > 100) return best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    std::vector<std::size_t> row(candidate.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j < row.size(); ++j) {
        const std::size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace connector
