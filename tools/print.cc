#include "tools/print.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

namespace ck::tools {
namespace {

std::string with_unit(double value, const char* unit) {
  std::array<char, 64> text{};
  const char* form = value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s";
  std::snprintf(text.data(), text.size(), form, value, unit);
  return text.data();
}

struct Range {
  unsigned char low, high;
  bool holds(char c) const {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= low && byte <= high;
  }
};

// The Unicode Standard, table 3-7: neither longer forms than needed, nor surrogates, nor what is
// beyond U+10FFFF.
struct Form {
  Range first, second;
  std::size_t length;
};
constexpr Form kForms[] = {
    {{0x00, 0x7f}, {0x00, 0xff}, 1}, {{0xc2, 0xdf}, {0x80, 0xbf}, 2},
    {{0xe0, 0xe0}, {0xa0, 0xbf}, 3}, {{0xe1, 0xec}, {0x80, 0xbf}, 3},
    {{0xed, 0xed}, {0x80, 0x9f}, 3}, {{0xee, 0xef}, {0x80, 0xbf}, 3},
    {{0xf0, 0xf0}, {0x90, 0xbf}, 4}, {{0xf1, 0xf3}, {0x80, 0xbf}, 4},
    {{0xf4, 0xf4}, {0x80, 0x8f}, 4},
};
constexpr Range kContinuation{0x80, 0xbf};

// Bytes of the character at the beginning; 0, if there is none.
std::size_t character_length(std::string_view text) {
  for (const Form& form : kForms) {
    if (!form.first.holds(text[0])) continue;
    if (text.size() < form.length) return 0;
    if (form.length > 1 && !form.second.holds(text[1])) return 0;
    for (std::size_t i = 2; i < form.length; ++i)
      if (!kContinuation.holds(text[i])) return 0;
    return form.length;
  }
  return 0;
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return with_unit(value, kUnits[unit]);
}

std::string format_nanoseconds(std::int64_t duration) {
  auto value = static_cast<double>(duration);
  if (value < 1e3) return with_unit(value, "ns");
  if (value < 1e6) return with_unit(value / 1e3, "us");
  if (value < 1e9) return with_unit(value / 1e6, "ms");
  return with_unit(value / 1e9, "s");
}

std::string format_unix_ns(std::int64_t time) {
  std::time_t seconds = time / 1'000'000'000;
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return text.data();
}

std::string format_command(const std::vector<std::string>& command) {
  std::string text;
  for (const std::string& word : command) text += (text.empty() ? "" : " ") + word;
  return printable(std::move(text));
}

std::string printable(std::string text) {
  for (char& c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) c = '?';
  }
  return text;
}

std::string valid_utf8(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    valid += length == 0 ? "\xef\xbf\xbd" : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

std::vector<std::string> table_lines(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  for (const std::string& line : table_lines(rows)) std::puts(line.c_str());
}

void print_json_line(const boost::json::value& value) {
  std::puts(valid_utf8(boost::json::serialize(value)).c_str());
}

}  // namespace ck::tools
