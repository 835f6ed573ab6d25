// Paths that are elsewhere: OLD=NEW says that what was at OLD, or below it, is at NEW. Values; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace ck {

struct PathMap {
  std::string from;  // absolute, without "/" at the end, or "/"
  std::string to;    // alike
  bool operator==(const PathMap&) const = default;
};
using PathMaps = std::vector<PathMap>;

// "OLD=NEW", both absolute and without "." and ".."; the first '=' parts them.
Result<PathMap> parse_path_map(std::string_view text);

bool is_below(std::string_view path, std::string_view folder);  // or the folder itself

// By the first map that fits; a path that none fits stays.
std::string mapped(const PathMaps& maps, const std::string& path);

}  // namespace ck
