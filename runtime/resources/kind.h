// A kind of resource: how an open file description of that kind is recognised, captured and
// restored. One file a kind holds both sides; one row in the table of kinds (table.h) names it.
// Engine thread only.
#pragma once

#include <sys/stat.h>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"
#include "runtime/memory/objects.h"
#include "runtime/proc/fdinfo.h"

namespace ck::resources {

class CaptureSession;
class RestoreSession;

// A descriptor of a process of the job, which is named by its place among them.
struct Holder {
  std::size_t process = 0;
  int fd = -1;
};

// One open file description of the job as seen from outside.
struct OpenFile {
  static constexpr std::size_t kNobody = ~std::size_t{0};
  std::size_t process = 0;      // the first process that has it; kNobody: only on its way in a
                                // socket, and pid and entry are the engine's own
  RealPid pid;                  // a living thread of that,
  proc::FdEntry entry;          // its descriptor there (the lowest),
  std::vector<Holder> holders;  // and all descriptors that lead to it, in order
  std::uint32_t index = 0;      // in Manifest.open_files, plus 1
  struct stat status {};
  UniqueFd duplicate;  // ours; not there in a survey without the right to fetch it

  unsigned access() const { return entry.info.flags & 3u; }  // O_RDONLY, O_WRONLY, O_RDWR
  bool reads() const { return access() != 1; }
  bool writes() const { return access() != 0; }
  bool is_same_inode(const OpenFile& other) const {
    return status.st_dev == other.status.st_dev && status.st_ino == other.status.st_ino;
  }
};

// An open file that restore() has made: in the engine, in the process that the session is in
// already, or in another one.
struct Restored {
  UniqueFd ours;
  int theirs = -1;
  std::optional<std::size_t> elsewhere;
  Restored(UniqueFd fd) : ours(std::move(fd)) {}  // NOLINT: implicit
  static Restored in_process(int fd) {
    Restored made{UniqueFd()};
    made.theirs = fd;
    return made;
  }
  static Restored at(Holder place) {
    Restored made = in_process(place.fd);
    made.elsewhere = place.process;
    return made;
  }
};

struct Kind {
  const char* name;
  bool (*recognises)(const CaptureSession&, const OpenFile&);
  // Fills record.state, object, standard_stream; the rest is there already. An Error of kind
  // kRefused says why it cannot be kept; which descriptor that is, the caller adds. In a survey
  // nothing may be waited for and file.duplicate may be missing.
  Status (*capture)(CaptureSession&, OpenFile& file, image::OpenFileRecord& record);
  Result<Restored> (*restore)(RestoreSession&, const image::OpenFileRecord& record);
  // For what needs other open files to be there: called when all have been made.
  Status (*connect)(RestoreSession&, const image::OpenFileRecord& record,
                    int fd_in_process) = nullptr;
};

// The kind's message out of a record; a damaged one is an error.
template <typename State>
Result<State> parse_state(const image::OpenFileRecord& record) {
  State state;
  if (!state.ParseFromString(record.state())) {
    return make_error(ErrorKind::kBadImage, "the state of " + record.name() + " is damaged");
  }
  return state;
}

}  // namespace ck::resources
