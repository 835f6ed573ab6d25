// Makes the descriptors of a restored process anew, through the mailbox of one of its threads.
// Engine thread only.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"
#include "runtime/memory/restored_objects.h"
#include "runtime/proc/mailbox.h"
#include "runtime/resources/kind.h"

namespace ck::resources {

struct RestoreContext {
  proc::Mailbox* mailbox = nullptr;
  const memory::RestoredObjects* objects = nullptr;
  int channel = -1;     // the engine's end of a UNIX socket pair,
  int channel_fd = -1;  // the process's end: a number not below base
  int base = 0;         // above every descriptor of the image; RLIMIT_NOFILE must
                        // leave room for one more above it for each open file
  std::array<int, 3> std_fds{-1, -1,
                             -1};  // in the process: the restart's own streams; not below base
  bool rollback_files = false;
  std::vector<std::string>* warnings = nullptr;
};

// All descriptors below context.base. Those from base on that this makes are closed again.
Status restore_descriptors(const RestoreContext& context, const image::Manifest& manifest,
                           const image::ProcessRecord& process);

// The very last step: closing any descriptor of a file drops the process's POSIX locks on it.
Status restore_locks(const RestoreContext& context, const image::Manifest& manifest,
                     const image::ProcessRecord& process);

// What kinds see of a restore.
class RestoreSession {
 public:
  RestoreSession(const RestoreContext& context, const image::Manifest& manifest)
      : context(context), manifest(manifest) {}

  proc::Mailbox& box() const { return *context.mailbox; }
  // Finds out which of the restart's streams are open. First of all: their numbers are free else.
  Status find_streams();
  void warn(std::string text) const;

  // Opens a path in the process; the number is not below base.
  Result<int> open_there(const std::string& path, std::uint32_t flags);
  // Moves a descriptor of the process there; it is close-on-exec.
  Result<int> move_up(int fd);
  // Passes a descriptor of ours to the process.
  Result<int> give(UniqueFd fd);
  // A duplicate, in the process, of one of its descriptors, not below base.
  Result<int> duplicate_there(int fd);
  // fcntl(F_SETFL) of what can be changed later, O_ASYNC excepted: that comes last of all.
  Status set_flags(int fd, std::uint32_t flags);

  // The number at or above base under which an open file is at hand; 0: not made yet.
  int at_hand(std::uint32_t open_file) const;

  const RestoreContext& context;
  const image::Manifest& manifest;
  std::array<int, 3> std_fds{-1, -1, -1};  // those of the context that are open
  std::map<std::uint32_t, int> made;       // open file (index plus 1) -> number
  struct PipeEnds {
    std::array<UniqueFd, 2> fds;  // to read, to write; neither blocks
    std::array<bool, 2> given{};  // the process has this very open file
  };
  std::map<std::uint64_t, PipeEnds> pipes;                 // by id
  std::vector<std::pair<int, std::uint32_t>> later_flags;  // set when all content is in place
  std::map<std::uint64_t, int> sockets;                    // by inode: other ends made already
  std::vector<std::uint32_t> checked_objects;              // already compared with their records
};

}  // namespace ck::resources
