// Makes the descriptors of a job's restored processes anew, through a mailbox in each of them. An
// open file is made in the first process that has it (its maker), and handed to the others.
// Engine thread only.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"
#include "runtime/memory/restored_objects.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/pidfd.h"
#include "runtime/resources/kind.h"

namespace ck::resources {

class RestoredTerminals;    // terminals.h
class RepairedConnections;  // tcp_repair.h

struct RestoreProcess {
  proc::Mailbox* mailbox = nullptr;
  const image::ProcessRecord* record = nullptr;
};

// All numbers are the same in every process.
struct RestoreContext {
  std::span<const RestoreProcess> processes;  // in the image's order
  const memory::RestoredObjects* objects = nullptr;
  int channel = -1;     // the engine's end of a UNIX socket pair,
  int channel_fd = -1;  // the processes' end, which they share: a number not below base
  int base = 0;         // above every descriptor of the image; RLIMIT_NOFILE must
                        // leave room for one more above it for each open file
  std::array<int, 3> std_fds{-1, -1, -1};  // the restart's own streams; not below base
  const ControlArea* area = nullptr;       // a slot of it that nobody uses meanwhile
  unsigned spare_slot = 0;
  const RestoredTerminals* terminals = nullptr;  // null: the job has none
  bool rollback_files = false;
  std::vector<std::string>* warnings = nullptr;
  RepairedConnections* repaired = nullptr;  // gets those that revive() is to bring to life
};

// All descriptors below context.base, of all processes. Those from base on that this makes are
// closed again.
Status restore_descriptors(const RestoreContext& context, const image::Manifest& manifest);

// The very last step: closing any descriptor of a file drops the process's POSIX locks on it, and
// of a message queue its registration for notification.
Status restore_locks(const RestoreContext& context, const image::Manifest& manifest);

// What kinds see of a restore. It is in one process at a time: "there".
class RestoreSession {
 public:
  RestoreSession(const RestoreContext& context, const image::Manifest& manifest)
      : context(context), manifest(manifest), at_hand_(context.processes.size()) {}

  // Is in another process until the end of a scope.
  class Visit {
   public:
    Visit(RestoreSession& session, std::size_t process)
        : session_(session), before_(std::exchange(session.process, process)) {}
    ~Visit() { session_.process = before_; }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    RestoreSession& session_;
    std::size_t before_;
  };

  proc::Mailbox& box() const { return *context.processes[process].mailbox; }
  // The process with that virtual pid; the one that the session is in if there is none.
  std::size_t find_process(pid_t pid) const;
  // Finds out which of the restart's streams are open. First of all: their numbers are free else.
  Status find_streams();
  void warn(std::string text) const;

  // Opens a path there; the number is not below base.
  Result<int> open_there(const std::string& path, std::uint32_t flags);
  // Moves a descriptor up there; it is close-on-exec.
  Result<int> move_up(int fd);
  // Passes descriptors of ours to the process.
  Result<int> give(UniqueFd fd);
  Result<std::vector<int>> give(std::span<const UniqueFd> fds);
  // A duplicate, there, of one of its descriptors, not below base.
  Result<int> duplicate_there(int fd);
  // fcntl(F_SETFL) of what can be changed later, O_ASYNC excepted: that comes last of all.
  Status set_flags(int fd, std::uint32_t flags);

  // Open files are named by index plus 1. Notes where one was made.
  void add_made(std::uint32_t open_file, Holder place);
  // Brings open files that were made to where the session is.
  Status bring(std::span<const std::uint32_t> open_files);
  // The same for one; its number there, at or above base.
  Result<int> bring(std::uint32_t open_file);
  // A descriptor of ours of what was made in a process.
  Result<UniqueFd> fetch(Holder place);
  // What is at hand there, by open file.
  const std::map<std::uint32_t, int>& at_hand() const { return at_hand_[process]; }

  const RestoreContext& context;
  const image::Manifest& manifest;
  std::size_t process = 0;                 // where it is: index in context.processes
  std::array<int, 3> std_fds{-1, -1, -1};  // those of the context that are open
  std::map<std::uint32_t, Holder> made;    // by open file
  struct PipeEnds {
    std::array<UniqueFd, 2> fds;  // to read, to write; neither blocks
    std::array<bool, 2> given{};  // a process has this very open file
  };
  std::map<std::uint64_t, PipeEnds> pipes;   // by id
  std::map<std::uint64_t, UniqueFd> queues;  // POSIX message queues, by id
  struct LaterFlags {
    Holder place;
    std::uint32_t flags = 0;
  };
  std::vector<std::function<Status()>> later;  // done when all open files have been made
  std::vector<LaterFlags> later_flags;         // set when all content is in place
  std::map<std::uint64_t, Holder> sockets;     // by inode: other ends made already
  std::map<std::uint64_t, UniqueFd> tcp_sockets, udp_sockets;  // by inode: made, not handed out yet
  std::vector<std::uint32_t> checked_objects;  // already compared with their records

 private:
  Status move_all_up(std::span<int> fds);
  Result<std::int64_t> open_with_owners_mode(const std::string& path, std::uint32_t flags);

  std::vector<std::map<std::uint32_t, int>> at_hand_;  // by process
  std::map<std::size_t, proc::PidFd> makers_;
};

}  // namespace ck::resources
