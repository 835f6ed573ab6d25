// Captures the descriptors of a job's parked processes, all in one go: open files that several
// processes share are recorded once. Engine thread only.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/memory/objects.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/pidfd.h"
#include "runtime/proc/stat.h"
#include "runtime/resources/kind.h"
#include "runtime/resources/tcp_policy.h"

namespace ck::resources {

struct OwnTerminal;     // terminals.h
class HeldConnections;  // tcp_repair.h

struct CaptureProcess {
  RealPid pid;                             // a living thread
  proc::Mailbox* mailbox = nullptr;        // of a parked thread; null in a survey
  image::ProcessRecord* record = nullptr;  // its pid is there already; null in a survey
  std::vector<int> skip;                   // descriptors that are none of the program's
  // One for each parked thread, for what only the thread itself may ask; none in a survey.
  std::function<std::vector<proc::Mailbox>()> all_mailboxes = nullptr;
};

// Adds descriptors and locks to the processes' records, open files to `manifest`, files and their
// contents to `objects`. The job's first process comes first: its standard streams tell what leads
// outside. Before mappings are captured: contents of unlinked files are found by descriptor here.
// The first thing that cannot be kept is an Error of kind kRefused.
struct CaptureOptions {
  TcpPolicy tcp = TcpPolicy::kReset;
  HeldConnections* held = nullptr;      // takes the connections that TcpPolicy::kRepair keeps
  const OwnTerminal* own = nullptr;     // the terminal that ckrun made for the job, if any
  std::span<const RealPid> left_out{};  // processes of the job that will not be in the image
};
Status capture_descriptors(std::span<const CaptureProcess> processes, image::Manifest& manifest,
                           memory::ObjectTable& objects, const CaptureOptions& options = {});

// What would be refused, or not come back as it was, told from outside while the job runs.
struct Objection {
  RealPid pid;
  std::string object;  // "fd 7 -> socket:[1234]"
  std::string reason;
  std::string advice;
  bool fatal = true;
};
Result<std::vector<Objection>> classify(std::span<const RealPid> pids);

// Which terminals open files are of: indices in Manifest.terminals, plus 1.
struct TerminalNames {
  std::map<std::uint32_t, std::uint32_t> by_file;           // by OpenFile::index
  std::map<std::uint32_t, bool> outside;                    // the job has not its master
  std::uint32_t file_terminal(const OpenFile& file) const;  // 0: of none
  bool is_outside(std::uint32_t terminal) const { return outside.at(terminal); }
};

// What kinds see of a capture.
class CaptureSession {
 public:
  CaptureSession(std::span<const CaptureProcess> job, memory::ObjectTable& object_table,
                 bool is_survey, const CaptureOptions& options = {})
      : processes(job),
        objects(object_table),
        survey(is_survey),
        tcp(options.tcp),
        held(options.held),
        left_out(options.left_out),
        descriptors(job.size()) {}

  Status collect(std::uint32_t first_index);  // fills files, descriptors, locks
  // The open file that came to us out of a socket; its index in Manifest.open_files, plus 1.
  Result<std::uint32_t> add_passed(UniqueFd fd);
  // The open file behind a descriptor, or null.
  const OpenFile* by_descriptor(std::size_t process, int fd) const;
  // All open files of one inode, as indices of files.
  std::span<const std::size_t> of_inode(dev_t device, ino_t inode) const;
  // Whether the file is the one behind descriptor 0, 1 or 2 (or another end of the same pipe,
  // another open of the same terminal); which, or -1. Those of the first process go before others'.
  int standard_stream(const OpenFile& file) const;
  // The index of a process of the job.
  std::optional<std::size_t> find_process(RealPid leader) const;

  const std::span<const CaptureProcess> processes;
  memory::ObjectTable& objects;
  const bool survey;
  const TcpPolicy tcp;
  HeldConnections* const held;
  const std::span<const RealPid> left_out;
  std::vector<OpenFile> files;
  struct Descriptor {
    int fd = -1;
    bool close_on_exec = false;
    std::size_t file = 0;  // index in files
  };
  std::vector<std::vector<Descriptor>> descriptors;  // by process, by number
  struct Lock {
    Holder holder;
    std::size_t file = 0;
    proc::FileLock lock;
  };
  std::vector<Lock> locks;
  TerminalNames terminals;
  // What is unread in UNIX sockets of the job, by inode.
  struct Unread {
    Status status;
    std::vector<std::string> pieces;
    struct Passed {
      std::size_t piece = 0;
      std::vector<std::uint32_t> open_files;  // indices in Manifest.open_files, plus 1
    };
    std::vector<Passed> passed;
    struct Sender {
      std::size_t piece = 0;
      std::string name;
      pid_t pid = 0;
    };
    std::vector<Sender> senders;
  };
  std::map<ino_t, Unread> unread;
  // Ends of TCP connections, by both addresses, as indices of files; made when first asked for.
  mutable std::optional<std::map<std::string, std::size_t>> tcp_ends;
  std::vector<Objection> notes;  // differences that are not fatal

 private:
  // Open files that look alike, in the kernel's order; `place`: where one more belongs.
  struct Group {
    std::vector<std::size_t> members;
    std::size_t place = 0;
  };
  // What descriptors of one open file have in common for good; only where it is equal need the
  // kernel be asked. All anonymous inodes (eventfd, epoll, …) share one inode number.
  struct Likeness {
    dev_t device = 0;
    ino_t inode = 0;
    std::uint32_t access = 0;
    std::string target;
    auto operator<=>(const Likeness&) const = default;
  };
  // A process, opened for a closer look when that is needed.
  struct Look {
    proc::PidFd handle;
    proc::DescriptorFolder folder;
  };
  Status collect_process(std::size_t process);
  Result<std::vector<Descriptor>> probe(std::size_t process,
                                        const std::vector<Descriptor>& likely) const;
  Result<bool> may_hold_lock(RealPid pid, int fd, const OpenFile& file);
  Result<bool> collect_inherited(std::size_t process);
  Status add(Holder holder, std::optional<Look>& look);
  Result<std::optional<std::size_t>> find_same(const OpenFile& file, Group& group) const;
  Result<std::size_t> find_or_add(OpenFile file, const proc::PidFd& handle);
  Status add_new(OpenFile file, const proc::PidFd& handle, Group& group);
  void add_holder(Holder holder, std::size_t file, bool close_on_exec);
  void add_locks(Holder holder, std::size_t file, std::span<const proc::FileLock> found);

  std::uint32_t first_index_ = 0;
  std::map<Likeness, Group> alike_;
  int lock_looks_ = 0;
  std::optional<std::set<ino_t>> locked_inodes_;  // once it has been read
  std::map<std::pair<dev_t, ino_t>, std::vector<std::size_t>> by_inode_;
};

}  // namespace ck::resources
