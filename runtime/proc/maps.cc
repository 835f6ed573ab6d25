#include "runtime/proc/maps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>
#include <cstdio>
#include <utility>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/text_cursor.h"

namespace ck::proc {
namespace {

constexpr std::pair<std::string_view, VmFlag> kVmFlagCodes[] = {
    {"rd", kVmRead},        {"wr", kVmWrite},      {"ex", kVmExec},       {"sh", kVmShared},
    {"mr", kVmMayRead},     {"mw", kVmMayWrite},   {"me", kVmMayExec},    {"ms", kVmMayShare},
    {"gd", kVmGrowsDown},   {"pf", kVmPfnMap},     {"lo", kVmLocked},     {"io", kVmIo},
    {"sr", kVmSequential},  {"rr", kVmRandom},     {"dc", kVmDontFork},   {"de", kVmDontExpand},
    {"ac", kVmAccount},     {"nr", kVmNoReserve},  {"ht", kVmHugeTlb},    {"sf", kVmSync},
    {"lf", kVmLockOnFault}, {"wf", kVmWipeOnFork}, {"dd", kVmDontDump},   {"sd", kVmSoftDirty},
    {"mm", kVmMixedMap},    {"hg", kVmHugePage},   {"nh", kVmNoHugePage}, {"mg", kVmMergeable},
    {"um", kVmUffdMissing}, {"uw", kVmUffdWp},     {"ui", kVmUffdMinor},  {"ss", kVmShadowStack},
    {"sl", kVmSealed},      {"ar", kVmArch},       {"dp", kVmDroppable},
};

std::uint64_t vm_flag(std::string_view code) {
  for (const auto& [name, flag] : kVmFlagCodes) {
    if (name == code) return flag;
  }
  return kVmOther;
}

int protection(std::string_view modes) {
  return (modes[0] == 'r' ? PROT_READ : 0) | (modes[1] == 'w' ? PROT_WRITE : 0) |
         (modes[2] == 'x' ? PROT_EXEC : 0);
}

// The kernel writes a newline in a name as "\012" but leaves backslashes alone, so such a text may
// mean either; the link in map_files has the name as it is.
std::string exact_name(RealPid pid, const Mapping& mapping, std::string_view shown) {
  if (shown.find("\\012") == shown.npos) return std::string(shown);
  char link[64];
  std::snprintf(link, sizeof link, "map_files/%lx-%lx", mapping.begin, mapping.end);
  Result<std::string> name = read_proc_link(pid, link);
  return name.ok() ? *std::move(name) : std::string(shown);
}

// " (deleted)" may also be part of a file's name.
void strip_deleted(RealPid pid, Mapping& mapping) {
  constexpr std::string_view kSuffix = " (deleted)";
  if (!mapping.path.starts_with('/') || !mapping.path.ends_with(kSuffix)) return;
  struct stat found {};
  std::string whole = proc_path(pid, "root") + mapping.path;
  if (::stat(whole.c_str(), &found) == 0 && found.st_ino == mapping.inode) return;
  mapping.path.resize(mapping.path.size() - kSuffix.size());
  mapping.deleted = true;
}

// "55d0c8a0-55d0c9b0 r-xp 00001000 fe:01 1234    /usr/bin/cat"
Result<Mapping> parse_mapping(std::string_view line, RealPid pid) {
  Mapping mapping;
  TextCursor cursor(line);
  mapping.begin = cursor.number(16);
  cursor.expect('-');
  mapping.end = cursor.number(16);
  std::string_view modes = cursor.word();
  mapping.offset = cursor.number(16);
  auto major = cursor.number<unsigned>(16);
  cursor.expect(':');
  auto minor = cursor.number<unsigned>(16);
  mapping.inode = cursor.number();
  if (cursor.failed() || modes.size() != 4 || mapping.begin >= mapping.end) {
    return make_error(
        ErrorKind::kSystem,
        "/proc/" + to_string(pid) + "/maps has a line of unknown form: " + std::string(line));
  }
  mapping.prot = protection(modes);
  mapping.shared = modes[3] == 's';
  mapping.dev = makedev(major, minor);
  cursor.blanks();
  mapping.path = exact_name(pid, mapping, cursor.rest());
  strip_deleted(pid, mapping);
  return mapping;
}

bool starts_mapping(std::string_view line) {
  return !line.empty() && (line[0] < 'A' || line[0] > 'Z');
}

void parse_detail(std::string_view line, Mapping& mapping) {
  TextCursor cursor(line);
  if (cursor.accept("Rss:")) {
    mapping.rss = cursor.number() * 1024;
  } else if (cursor.accept("Swap:")) {
    mapping.swap = cursor.number() * 1024;
  } else if (cursor.accept("VmFlags:")) {
    for (std::string_view code = cursor.word(); !code.empty(); code = cursor.word()) {
      mapping.vm_flags |= vm_flag(code);
    }
  }
}

}  // namespace

Result<std::vector<Mapping>> parse_maps(std::string_view text, RealPid pid) {
  std::vector<Mapping> mappings;
  TextCursor cursor(text);
  while (!cursor.at_end()) mappings.push_back(CK_TRY(parse_mapping(cursor.line(), pid)));
  return mappings;
}

Result<std::vector<Mapping>> parse_smaps(std::string_view text, RealPid pid) {
  std::vector<Mapping> mappings;
  TextCursor cursor(text);
  while (!cursor.at_end()) {
    std::string_view line = cursor.line();
    if (starts_mapping(line)) {
      mappings.push_back(CK_TRY(parse_mapping(line, pid)));
    } else if (!mappings.empty()) {
      parse_detail(line, mappings.back());
    }
  }
  return mappings;
}

Result<std::vector<Mapping>> read_maps(RealPid pid) {
  std::string text = CK_TRY(read_proc(pid, "maps"));
  return parse_maps(text, pid);
}

Result<std::vector<Mapping>> read_smaps(RealPid pid) {
  std::string text = CK_TRY(read_proc(pid, "smaps"));
  return parse_smaps(text, pid);
}

}  // namespace ck::proc
