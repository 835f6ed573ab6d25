#include "runtime/base/path_map.h"

#include <algorithm>
#include <climits>

namespace ck {
namespace {

Error bad(std::string_view text, const char* why) {
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' " + why,
                    "write OLD=NEW, two absolute paths");
}

// Without "//", and "/" at the end. Empty: not a path as it should be.
std::string tidy(std::string_view path) {
  if (!path.starts_with('/') || path.size() >= PATH_MAX || path.find('\0') != path.npos) return {};
  std::string result;
  while (!path.empty()) {
    path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
    const std::string_view part = path.substr(0, path.find('/'));
    path.remove_prefix(part.size());
    if (part == "." || part == "..") return {};
    if (!part.empty()) result.append("/").append(part);
  }
  return result.empty() ? "/" : result;
}

}  // namespace

Result<PathMap> parse_path_map(std::string_view text) {
  const std::size_t sign = text.find('=');
  if (sign == text.npos) return bad(text, "does not say what is where");
  PathMap map{tidy(text.substr(0, sign)), tidy(text.substr(sign + 1))};
  if (map.from.empty() || map.to.empty()) return bad(text, "is not two absolute paths");
  return map;
}

bool is_below(std::string_view path, std::string_view folder) {
  if (folder == "/") return path.starts_with('/');
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

std::string mapped(const PathMaps& maps, const std::string& path) {
  for (const PathMap& map : maps) {
    if (!is_below(path, map.from)) continue;
    const std::string rest = map.from == "/" ? path : path.substr(map.from.size());
    if (map.to == "/") return rest.empty() ? "/" : rest;
    return rest == "/" ? map.to : map.to + rest;
  }
  return path;
}

}  // namespace ck
