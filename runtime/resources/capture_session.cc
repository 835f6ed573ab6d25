#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/kcmp.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/status.h"
#include "runtime/resources/capture.h"

namespace ck::resources {

Result<std::optional<std::size_t>> CaptureSession::find_same(const OpenFile& file,
                                                             Group& group) const {
  std::size_t high = group.members.size();
  group.place = 0;
  while (group.place < high) {
    std::size_t middle = (group.place + high) / 2;
    const OpenFile& other = files[group.members[middle]];
    auto order =
        CK_TRY(proc::compare_open_files({file.pid, file.entry.fd}, {other.pid, other.entry.fd}));
    if (order == 0) return std::optional(group.members[middle]);
    (order < 0 ? high : group.place) = order < 0 ? middle : middle + 1;
  }
  return std::optional<std::size_t>();
}

Status CaptureSession::add_new(OpenFile file, const proc::PidFd& handle, Group& group) {
  if (!file.duplicate) {
    Result<UniqueFd> copy = handle.get_descriptor(file.entry.fd);
    if (!copy.ok() && !survey) return std::move(copy).error();
    if (copy.ok()) file.duplicate = *std::move(copy);
  }
  file.index = first_index_ + static_cast<std::uint32_t>(files.size()) + 1;
  group.members.insert(group.members.begin() + static_cast<std::ptrdiff_t>(group.place),
                       files.size());
  by_inode_[{file.status.st_dev, file.status.st_ino}].push_back(files.size());
  files.push_back(std::move(file));
  return {};
}

// Neither position nor flags make a difference: a process outside of the job may share the file and
// change them between two looks at it.
Result<std::size_t> CaptureSession::find_or_add(OpenFile file, const proc::PidFd& handle) {
  Group& group = alike_[{file.status.st_dev, file.status.st_ino,
                         file.entry.info.flags & (O_ACCMODE | O_PATH), file.entry.target}];
  std::optional<std::size_t> same = CK_TRY(find_same(file, group));
  if (same) return *same;
  CK_TRY(add_new(std::move(file), handle, group));
  return files.size() - 1;
}

// fdinfo shows a lock at the open file through which it was taken, a POSIX lock too, but that only
// in the process that has taken it: closing the file would have dropped it. Before add_holder().
void CaptureSession::add_locks(Holder holder, std::size_t file,
                               std::span<const proc::FileLock> found) {
  const std::vector<Holder>& holders = files[file].holders;
  bool is_first = holders.empty();
  bool is_first_of_process = is_first || holders.back().process != holder.process;
  for (const proc::FileLock& lock : found) {
    bool is_own = lock.kind == proc::FileLock::Kind::kPosix;
    if (is_own ? is_first_of_process : is_first) locks.push_back({holder, file, lock});
  }
}

void CaptureSession::add_holder(Holder holder, std::size_t file, bool close_on_exec) {
  files[file].holders.push_back(holder);
  descriptors[holder.process].push_back({holder.fd, close_on_exec, file});
}

Status CaptureSession::add(Holder holder, std::optional<Look>& look) {
  const RealPid pid = processes[holder.process].pid;
  if (!look) look = Look{CK_TRY(proc::PidFd::open(pid)), CK_TRY(proc::DescriptorFolder::open(pid))};
  OpenFile file;
  file.process = holder.process;
  file.pid = pid;
  file.entry = {holder.fd, CK_TRY(look->folder.target(holder.fd)),
                CK_TRY(look->folder.info(holder.fd))};
  file.status = CK_TRY(look->folder.status(holder.fd));
  const std::vector<proc::FileLock> found = file.entry.info.locks;
  const bool close_on_exec = (file.entry.info.flags & O_CLOEXEC) != 0;
  std::size_t index = CK_TRY(find_or_add(std::move(file), look->handle));
  add_locks(holder, index, found);
  add_holder(holder, index, close_on_exec);
  return {};
}

// Those of `likely` that the process has, asked by itself.
Result<std::vector<CaptureSession::Descriptor>> CaptureSession::probe(
    std::size_t process, const std::vector<Descriptor>& likely) const {
  proc::Mailbox& box = *processes[process].mailbox;
  std::vector<Descriptor> present;
  for (std::span<const Descriptor> rest = likely; !rest.empty();) {
    auto part = rest.first(std::min<std::size_t>(abi::kMaxCalls, rest.size()));
    rest = rest.subspan(part.size());
    std::vector<proc::Mailbox::CallRef> calls;
    box.clear();
    for (const Descriptor& one : part) calls.push_back(box.add(SYS_fcntl, one.fd, F_GETFD, 0));
    CK_TRY(box.run());
    for (std::size_t i = 0; i < part.size(); ++i) {
      std::int64_t flags = box.result(calls[i]);
      if (flags >= 0) present.push_back({part[i].fd, (flags & FD_CLOEXEC) != 0, part[i].file});
    }
  }
  box.clear();
  return present;
}

// Whether a process holds a POSIX lock on a file that it has inherited: each has its own. The list
// of all locks tells at once, but only after a grace period of the kernel (10 ms): for a few files
// it is quicker to ask for each.
Result<bool> CaptureSession::may_hold_lock(RealPid pid, int fd, const OpenFile& file) {
  constexpr int kFewLooks = 1000;
  const mode_t type = file.status.st_mode & S_IFMT;
  if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO) return false;
  if (++lock_looks_ <= kFewLooks) {
    const proc::FdInfo info = CK_TRY(proc::read_fdinfo(pid, fd));
    return std::any_of(info.locks.begin(), info.locks.end(), [](const proc::FileLock& lock) {
      return lock.kind == proc::FileLock::Kind::kPosix;
    });
  }
  if (!locked_inodes_) {
    Result<std::set<ino_t>> locked = proc::read_locked_inodes();
    if (!locked.ok()) return true;
    locked_inodes_ = *std::move(locked);
  }
  return locked_inodes_->contains(file.status.st_ino);
}

// Most processes have what they inherited and little else. Looking into /proc costs ten times as
// much as asking the process and kcmp: it is done where the answers leave a question.
Result<bool> CaptureSession::collect_inherited(std::size_t process) {
  if (survey || process == 0 || !processes[process].skip.empty()) return false;
  const RealPid pid = processes[process].pid;
  const std::vector<Descriptor> present = CK_TRY(probe(process, descriptors[process - 1]));
  if (present.size() != CK_TRY(proc::count_descriptors(pid))) return false;
  std::optional<Look> look;
  for (const Descriptor& one : present) {
    const OpenFile& file = files[one.file];
    bool same = CK_TRY(proc::same_open_file({pid, one.fd}, {file.pid, file.entry.fd}));
    if (same && !CK_TRY(may_hold_lock(pid, one.fd, file))) {
      add_holder({process, one.fd}, one.file, one.close_on_exec);
    } else {
      CK_TRY(add({process, one.fd}, look));
    }
  }
  return true;
}

Status CaptureSession::collect_process(std::size_t process) {
  if (CK_TRY(collect_inherited(process))) return {};
  const std::vector<int>& skip = processes[process].skip;
  std::optional<Look> look;
  for (int fd : CK_TRY(proc::list_proc_numbers(processes[process].pid, "fd"))) {
    if (std::count(skip.begin(), skip.end(), fd) != 0) continue;
    Status status = add({process, fd}, look);
    if (!status.ok() && !survey) return status;  // in a survey: closed meanwhile
  }
  return {};
}

Result<std::uint32_t> CaptureSession::add_passed(UniqueFd fd) {
  const RealPid self(::getpid());
  const proc::PidFd handle = CK_TRY(proc::PidFd::open(self));
  const proc::DescriptorFolder folder = CK_TRY(proc::DescriptorFolder::open(self));
  OpenFile file;
  file.process = OpenFile::kNobody;
  file.pid = self;
  file.entry = {fd.get(), CK_TRY(folder.target(fd.get())), CK_TRY(folder.info(fd.get()))};
  file.status = CK_TRY(folder.status(fd.get()));
  file.duplicate = std::move(fd);
  return files[CK_TRY(find_or_add(std::move(file), handle))].index;
}

Status CaptureSession::collect(std::uint32_t first_index) {
  first_index_ = first_index;
  for (std::size_t process = 0; process < processes.size(); ++process) {
    Status status = collect_process(process);
    bool ended_meanwhile = survey && process > 0;
    if (!status.ok() && !ended_meanwhile) return status;
  }
  return {};
}

const OpenFile* CaptureSession::by_descriptor(std::size_t process, int fd) const {
  const std::vector<Descriptor>& all = descriptors[process];
  auto found = std::lower_bound(all.begin(), all.end(), fd,
                                [](const Descriptor& one, int number) { return one.fd < number; });
  return found != all.end() && found->fd == fd ? &files[found->file] : nullptr;
}

std::span<const std::size_t> CaptureSession::of_inode(dev_t device, ino_t inode) const {
  auto found = by_inode_.find({device, inode});
  return found == by_inode_.end() ? std::span<const std::size_t>() : found->second;
}

namespace {

bool is_at(const OpenFile& file, int fd, bool in_first_process) {
  return std::any_of(file.holders.begin(), file.holders.end(), [&](const Holder& holder) {
    return holder.fd == fd && (holder.process == 0 || !in_first_process);
  });
}

}  // namespace

int CaptureSession::standard_stream(const OpenFile& file) const {
  // By its use first: a pair of sockets or a terminal may serve as several.
  constexpr int kOrders[3][3] = {{0, 1, 2}, {1, 2, 0}, {0, 1, 2}};
  for (bool in_first_process : {true, false}) {
    for (int fd : {0, 1, 2})
      if (is_at(file, fd, in_first_process)) return fd;
    for (int fd : kOrders[file.access() % 3]) {
      for (std::size_t other : of_inode(file.status.st_dev, file.status.st_ino))
        if (is_at(files[other], fd, in_first_process)) return fd;
    }
  }
  return -1;
}

std::optional<std::size_t> CaptureSession::find_process(RealPid leader) const {
  for (std::size_t i = 0; i < processes.size(); ++i) {
    if (processes[i].pid == leader) return i;
  }
  for (std::size_t i = 0; i < processes.size(); ++i) {
    Result<proc::ProcessStatus> status = proc::read_status(processes[i].pid);
    if (status.ok() && status->tgid == leader) return i;
  }
  return std::nullopt;
}

}  // namespace ck::resources
