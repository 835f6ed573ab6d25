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
  std::puts(boost::json::serialize(value).c_str());
}

}  // namespace ck::tools
