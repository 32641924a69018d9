#include "pg/publication_comment.h"

#include <fmt/format.h>

#include <cstdint>

#include "pg/publication.h"

namespace pg {
namespace {

constexpr std::string_view marks_follow = "; filters";

}  // namespace

// FNV-1a.
std::string filter_mark(const std::pair<std::string, std::string>& table,
                        const std::string& where) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](const std::string& text) {
    for (std::size_t i = 0; i <= text.size(); ++i) {  // its end, a NUL, too
      hash = (hash ^ static_cast<unsigned char>(text.c_str()[i])) * 0x100000001b3;
    }
  };
  add(table.first);
  add(table.second);
  add(where);
  return fmt::format("{:016x}", hash);
}

std::string comment_of(const std::set<std::string>& marks) {
  std::string comment = publication_comment;
  if (!marks.empty()) comment += marks_follow;
  for (const std::string& mark : marks) comment += " " + mark;
  return comment;
}

std::optional<std::set<std::string>> marks_in(std::string_view comment) {
  const std::string_view ours = publication_comment;
  if (!comment.starts_with(ours)) return std::nullopt;
  comment.remove_prefix(ours.size());
  std::set<std::string> marks;
  if (comment.empty()) return marks;
  if (!comment.starts_with(marks_follow)) return std::nullopt;
  comment.remove_prefix(marks_follow.size());
  while (!comment.empty()) {
    comment.remove_prefix(1);
    const std::string_view mark = comment.substr(0, comment.find(' '));
    marks.emplace(mark);
    comment.remove_prefix(mark.size());
  }
  return marks;
}

}  // namespace pg
