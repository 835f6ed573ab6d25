#include "tools/top_view.h"

#include <algorithm>

#include "tools/print.h"

namespace ck::tools {
namespace {

constexpr std::size_t kFrame = 3;  // title, empty line, foot

bool continues(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;  // a character of UTF-8
}

std::string cut(const std::string& line, unsigned columns) {
  unsigned characters = 0;
  for (std::size_t i = 0; i < line.size(); ++i)
    if (!continues(line[i]) && ++characters > columns) return line.substr(0, i);
  return line;
}

std::string count_of(std::size_t rows, const char* what) {
  const std::size_t count = rows > 0 ? rows - 1 : 0;  // without the heading
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

void add_table(std::vector<std::string>& lines, const std::vector<std::vector<std::string>>& rows,
               std::size_t room) {
  std::vector<std::string> table = table_lines(rows);
  if (table.size() > room) {
    const std::size_t shown = room > 0 ? room - 1 : 0;
    const std::size_t missing = table.size() - shown;
    table.resize(shown);
    if (room > 0) table.push_back("... " + std::to_string(missing) + " more");
  }
  lines.insert(lines.end(), table.begin(), table.end());
}

}  // namespace

std::vector<std::string> top_lines(const TopView& view, unsigned columns, unsigned rows) {
  const std::size_t room = rows > kFrame ? rows - kFrame : 0;
  // Each table has half of it, and what the other does not need.
  const std::size_t for_jobs = std::min(view.jobs.size(), room / 2);
  const std::size_t for_hosts = std::min(view.hosts.size(), room - for_jobs);
  std::vector<std::string> lines{"ckpt top  " + view.time + "  " +
                                 count_of(view.hosts.size(), "host") + ", " +
                                 count_of(view.jobs.size(), "job") + " of yours"};
  add_table(lines, view.hosts, for_hosts);
  lines.emplace_back();
  add_table(lines, view.jobs, room - for_hosts);
  lines.push_back(view.trouble.empty() ? "q: quit" : view.trouble);
  if (lines.size() > rows) lines.resize(rows);
  for (std::string& line : lines) line = cut(line, columns);
  return lines;
}

}  // namespace ck::tools
