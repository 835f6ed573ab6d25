// How numbers, times and tables look in the commands' output. Pure, but for print_table().
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ck::tools {

std::string format_bytes(std::uint64_t bytes);          // "1.4 GiB"
std::string format_nanoseconds(std::int64_t duration);  // "12.3 ms"
std::string format_unix_ns(std::int64_t time);          // "2024-03-01 12:00:00", local
std::string format_command(const std::vector<std::string>& command);

// Control characters would act on the terminal; they are shown as '?'.
std::string printable(std::string text);

// Columns as wide as needed; the first row is the heading.
std::vector<std::string> table_lines(const std::vector<std::vector<std::string>>& rows);
void print_table(const std::vector<std::vector<std::string>>& rows);

// Each byte that is no part of a character becomes U+FFFD: paths and arguments are bytes, JSON is
// UTF-8 (RFC 8259, 8.1).
std::string valid_utf8(std::string_view text);
// Valid JSON, whatever bytes the strings have.
void print_json_line(const boost::json::value& value);

}  // namespace ck::tools
