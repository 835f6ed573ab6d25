#include "driver/cluster/batch_hosts.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "driver/protocol/check.h"

namespace ck::cluster {
namespace {

using Names = std::vector<std::string>;

Error not_understood(const std::string& program, const std::string& line) {
  return make_error(ErrorKind::kRefused,
                    "a line of " + program + " was not understood: '" + line.substr(0, 80) + "'");
}

Names lines_of(std::string_view text) {
  Names lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) lines.push_back(line);
  }
  return lines;
}

Names words_of(const std::string& line) {
  Names words;
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Adds `name` once. False if it is none.
bool add(Names& names, const std::string& name) {
  if (!protocol::check_host_name(name).ok() || names.size() >= protocol::kMostHosts) return false;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return true;
}

bool parse_number(std::string_view text, unsigned& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return !text.empty() && text.size() < 9 && error == std::errc() &&
         end == text.data() + text.size();
}

// "007" after "node": numbers are as wide as the first of a range.
std::string numbered(const std::string& start, unsigned number, std::size_t width,
                     const std::string& end) {
  std::string digits = std::to_string(number);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return start + digits + end;
}

// One of the parts between the brackets: "7" or "01-03".
bool add_range(Names& names, const std::string& start, const std::string& range,
               const std::string& end) {
  std::size_t dash = range.find('-');
  std::string low = range.substr(0, dash);
  std::string high = dash == std::string::npos ? low : range.substr(dash + 1);
  unsigned from = 0, to = 0;
  if (!parse_number(low, from) || !parse_number(high, to) || from > to) return false;
  if (to - from >= protocol::kMostHosts) return false;
  for (unsigned number = from; number <= to; ++number) {
    if (!add(names, numbered(start, number, low.size(), end))) return false;
  }
  return true;
}

Names split_at_commas(const std::string& list) {
  Names parts;
  std::string part;
  int depth = 0;
  for (char c : list) {
    depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (c == ',' && depth == 0) {
      parts.push_back(std::exchange(part, {}));
    } else {
      part += c;
    }
  }
  parts.push_back(part);
  return parts;
}

// "node[01-03,7]" or "node1".
bool add_expanded(Names& names, const std::string& part) {
  std::size_t open = part.find('['), close = part.rfind(']');
  if (open == std::string::npos) return add(names, part);
  if (close == std::string::npos || close < open) return false;
  std::istringstream ranges(part.substr(open + 1, close - open - 1));
  for (std::string range; std::getline(ranges, range, ',');) {
    if (!add_range(names, part.substr(0, open), range, part.substr(close + 1))) return false;
  }
  return true;
}

}  // namespace

Result<Names> parse_qhost(std::string_view text) {
  Names names;
  for (const std::string& line : lines_of(text)) {
    std::string first = words_of(line)[0];
    if (first == "HOSTNAME" || first == "global" || first[0] == '-') continue;
    if (line[0] == ' ' || !add(names, first)) return not_understood("qhost", line);
  }
  return names;
}

Result<Names> parse_sinfo(std::string_view text) {
  Names names;
  for (const std::string& line : lines_of(text)) {
    Names words = words_of(line);
    if (words[0] == "PARTITION" || words[0] == "NODELIST") continue;
    // sinfo -N has the node first and its state last; sinfo alone has the nodes last.
    bool by_node = words.size() <= 1 || words.size() == 4;
    for (const std::string& part : split_at_commas(by_node ? words[0] : words.back())) {
      if (!add_expanded(names, part)) return not_understood("sinfo", line);
    }
  }
  return names;
}

Result<Names> parse_host_file(std::string_view text) {
  Names names;
  for (std::string line : lines_of(text)) {
    Names words = words_of(line.substr(0, line.find('#')));
    if (words.empty()) continue;
    if (words.size() > 1 || !add(names, words[0])) return not_understood("the list of hosts", line);
  }
  return names;
}

}  // namespace ck::cluster
