// Reads TOML tables key by key, and remembers each key that was asked for, so that what nobody
// asked for is an error with the nearest known key named. It never throws: a problem is noted, the
// value keeps its default, and reading goes on, so that all problems are told at once.
//
//   Reader reader("walferry.toml");
//   Section root(reader, document);
//   Section log = root.table("log");
//   log.one_of("level", config.log.level, {"info", "warn"});
//
// The readers of single keys answer whether `out` holds a value to go on with: the given one, or
// the default because none was given.
#pragma once

#include <toml++/toml.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace connector {

using Check = std::function<std::string(std::string_view)>;  // "": fine; else what is wrong

class Reader {
 public:
  explicit Reader(std::string file) : file_(std::move(file)) {}

  void problem(std::uint32_t line, std::string_view key, std::string_view text);
  // In the order of the file's lines. Call it when all sections are gone: they find unknown keys.
  std::vector<std::string> problems() const;
  const std::vector<std::string>& keys() const { return keys_; }  // full names, as they were read

 private:
  friend class Section;
  struct Problem {
    std::uint32_t line;
    std::string text;
  };
  struct Unknown {
    std::uint32_t line;
    std::string section, key;
    bool is_table;
  };
  std::string suggestion(const Unknown& unknown) const;
  std::string at(std::uint32_t line, std::string_view key, std::string_view text) const;

  std::string file_;
  std::vector<Problem> problems_;
  std::vector<Unknown> unknown_;
  std::vector<std::string> keys_, tables_;
};

// One table of the document, and for as long as it lives the right to read its keys.
class Section {
 public:
  Section(Reader& reader, const toml::table& root) : Section(reader, root, "", 1) {}
  ~Section();  // hands the keys that nobody asked for to the reader
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  // A table below this one; an empty one when it is missing or no table.
  Section table(std::string_view key);
  // Calls `read` with each table of the array [[key]]; gives how many there were.
  std::size_t each(std::string_view key, const std::function<void(Section&)>& read);

  bool text(std::string_view key, std::string& out, const Check& check = nullptr);
  bool secret(std::string_view key, std::string& out, const Check& check = nullptr);  // never shown
  bool one_of(std::string_view key, std::string& out, std::initializer_list<const char*> allowed);
  bool texts(std::string_view key, std::vector<std::string>& out, const Check& check);
  // A table of the user's own words, each with one of the allowed values: { email = "hash" }.
  bool words(std::string_view key, std::map<std::string, std::string>& out,
             std::initializer_list<const char*> allowed);
  bool boolean(std::string_view key, bool& out);
  bool integer(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max);
  // `zero_means` non-empty: "0" is allowed too, and that is what it means.
  bool duration(std::string_view key, std::chrono::milliseconds& out, std::chrono::milliseconds min,
                std::string_view zero_means = "");
  bool size(std::string_view key, std::uint64_t& out, std::uint64_t min, std::uint64_t max,
            std::string_view zero_means = "");

  // A key whose part is not built yet: nothing but `only_value` (TOML) may be written.
  void unbuilt(std::string_view key, std::string_view only_value);
  void unbuilt_table(std::string_view key);

  bool given(std::string_view key) const { return table_.contains(key); }
  bool is_integer(std::string_view key) const;
  std::uint32_t line(std::string_view key) const;  // of the key, or of this table where it is not
  void problem(std::string_view key, std::string_view text);

 private:
  Section(Reader& reader, const toml::table& table, std::string path, std::uint32_t line)
      : reader_(reader), table_(table), path_(std::move(path)), line_(line) {}
  std::string full_name(std::string_view key) const;
  const toml::node* take(std::string_view key);
  void wrong_type(std::string_view key, std::string_view expected, const toml::node& node);
  bool read_text(std::string_view key, std::string& out, const Check& check, bool may_show);
  bool read_element(std::string_view key, const toml::node& node, std::string_view expected,
                    const Check& check, bool may_show, std::string& out);

  Reader& reader_;
  const toml::table& table_;
  const std::string path_;  // "" for the document itself
  const std::uint32_t line_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace connector
