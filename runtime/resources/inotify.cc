// inotify instances, with the numbers of their watches. The kernel tells what is watched by inode
// only; the path is looked for where programs usually watch.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxEntries = 20000;  // looked at in search of one watched inode
constexpr int kMaxWatchNumber = 1 << 20;

bool recognises(const CaptureSession&, const OpenFile& file) {
  return file.entry.target == "anon_inode:inotify" || file.entry.target == "anon_inode:[inotify]";
}

struct Watched {
  int number = 0;
  ino_t inode = 0;
  dev_t device = 0;
  std::uint32_t mask = 0;
};

std::uint64_t hex_after(std::string_view line, std::string_view name) {
  std::size_t at = line.find(name);
  return at == line.npos
             ? 0
             : proc::TextCursor(line.substr(at + name.size())).number<std::uint64_t>(16);
}

// " wd:1 ino:40a2 sdev:fe00000 mask:3cc ignored_mask:0 fhandle-bytes:8 …", all in base 16.
Watched parse_watch(std::string_view line) {
  std::uint64_t device = hex_after(line, "sdev:");
  return {static_cast<int>(hex_after(line, " wd:")), hex_after(line, " ino:"),
          makedev(device >> 20, device & 0xfffff),
          static_cast<std::uint32_t>(hex_after(line, " mask:"))};
}

bool is_watched(const std::string& path, const Watched& watched) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && found.st_ino == watched.inode &&
         found.st_dev == watched.device;
}

// The folders that the process has to do with: its own, those of its files, and all above them.
std::vector<std::string> likely_places(const CaptureSession& session, const OpenFile& inotify) {
  std::vector<std::string> places;
  auto add_with_parents = [&](fs::path path) {
    for (; path.has_relative_path(); path = path.parent_path()) places.push_back(path.string());
  };
  if (auto folder = proc::read_proc_link(inotify.pid, "cwd"); folder.ok())
    add_with_parents(*folder);
  for (const OpenFile& file : session.files) {
    bool is_near = file.process == inotify.process || inotify.process == OpenFile::kNobody;
    if (is_near && file.entry.target.starts_with('/')) add_with_parents(file.entry.target);
  }
  for (const char* usual : {"/", "/tmp", "/etc", "/dev", "/var", "/run"})
    places.emplace_back(usual);
  std::sort(places.begin(), places.end());
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

std::string search_below(const std::string& place, const Watched& watched, int& budget) {
  std::error_code error;
  constexpr auto kOptions = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator entry(place, kOptions, error), end; !error && entry != end;
       entry.increment(error)) {
    if (--budget < 0) break;
    if (entry.depth() >= 3) entry.disable_recursion_pending();
    if (is_watched(entry->path().string(), watched)) return entry->path().string();
  }
  return {};
}

Result<std::string> find_path(const CaptureSession& session, const OpenFile& inotify,
                              const Watched& watched) {
  std::vector<std::string> places = likely_places(session, inotify);
  for (const std::string& place : places) {
    if (is_watched(place, watched)) return place;
  }
  int budget = kMaxEntries;
  std::reverse(places.begin(), places.end());  // the most special first
  for (const std::string& place : places) {
    std::string found = search_below(place, watched, budget);
    if (!found.empty()) return found;
  }
  return make_error(ErrorKind::kRefused, "the path of its watch " + std::to_string(watched.number) +
                                             " (inode " + std::to_string(watched.inode) +
                                             ") could not be found");
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  int unread = 0;
  if (file.duplicate && !session.survey && ::ioctl(file.duplicate.get(), FIONREAD, &unread) == 0 &&
      unread > 0) {
    return make_error(ErrorKind::kTryAgain, "it has events that the program has not read yet",
                      "try again in a moment")
        .that_passes();
  }
  InotifyState state;
  for (std::string_view line : proc::fdinfo_lines(file.entry.info.text, "inotify")) {
    Watched watched = parse_watch(line);
    InotifyState::Watch& out = *state.add_watches();
    out.set_number(watched.number);
    out.set_mask(watched.mask);
    out.set_path(CK_TRY(find_path(session, file, watched)));
  }
  record.set_state(state.SerializeAsString());
  return {};
}

void drain(int fd) {
  char events[4096];
  while (::read(fd, events, sizeof events) > 0) {
  }
}

// Numbers are given in ascending order and not used again: those in between are used up.
Status add_watch(int fd, const InotifyState::Watch& watch) {
  for (int tries = 0; tries < kMaxWatchNumber; ++tries) {
    int number =
        ::inotify_add_watch(fd, watch.path().c_str(), watch.mask() & ~unsigned{IN_MASK_ADD});
    if (number < 0) return sys_error("watch " + watch.path());
    if (number == watch.number()) return {};
    ::inotify_rm_watch(fd, number);
    if (number > watch.number()) break;
    if (tries % 1024 == 0) drain(fd);
  }
  return make_error(ErrorKind::kRefused, "watch " + watch.path() + " cannot get its number " +
                                             std::to_string(watch.number()) + " again");
}

Result<Restored> restore(RestoreSession&, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<InotifyState>(record));
  UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd) return sys_error("create an inotify instance");
  std::vector<InotifyState::Watch> watches(state.watches().begin(), state.watches().end());
  std::sort(watches.begin(), watches.end(),
            [](const auto& a, const auto& b) { return a.number() < b.number(); });
  for (const InotifyState::Watch& watch : watches) CK_TRY(add_watch(fd.get(), watch));
  drain(fd.get());
  ::fcntl(fd.get(), F_SETFL, record.flags() & O_NONBLOCK);
  return Restored(std::move(fd));
}

}  // namespace

const Kind kInotify = {"inotify", recognises, capture, restore};

}  // namespace ck::resources
