#include <fcntl.h>

#include <algorithm>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/kcmp.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/status.h"
#include "runtime/resources/capture.h"

namespace ck::resources {

Result<OpenFile*> CaptureSession::find_same(const OpenFile& file, Group& group) {
  std::size_t high = group.members.size();
  group.place = 0;
  while (group.place < high) {
    std::size_t middle = (group.place + high) / 2;
    OpenFile& other = files[group.members[middle]];
    auto order =
        CK_TRY(proc::compare_open_files({file.pid, file.entry.fd}, {other.pid, other.entry.fd}));
    if (order == 0) return &other;
    (order < 0 ? high : group.place) = order < 0 ? middle : middle + 1;
  }
  return nullptr;
}

// fdinfo shows a lock at the open file through which it was taken, a POSIX lock too, but that only
// in the process that has taken it: closing the file would have dropped it.
void CaptureSession::add_locks(const OpenFile& seen, std::size_t file) {
  const std::vector<Holder>& holders = files[file].holders;
  bool is_first = holders.empty();
  if (!is_first && holders.back().process == seen.process) return;
  for (const proc::FileLock& lock : seen.entry.info.locks) {
    if (is_first || lock.kind == proc::FileLock::Kind::kPosix)
      locks.push_back({{seen.process, seen.entry.fd}, file, lock});
  }
}

Status CaptureSession::add_new(OpenFile file, const proc::PidFd& process, Group& group) {
  Result<UniqueFd> copy = process.get_descriptor(file.entry.fd);
  if (!copy.ok() && !survey) return std::move(copy).error();
  if (copy.ok()) file.duplicate = *std::move(copy);
  file.index = first_index_ + static_cast<std::uint32_t>(files.size()) + 1;
  group.members.insert(group.members.begin() + static_cast<std::ptrdiff_t>(group.place),
                       files.size());
  by_inode_[{file.status.st_dev, file.status.st_ino}].push_back(files.size());
  files.push_back(std::move(file));
  return {};
}

// Neither position nor flags make a difference: a process outside of the job may share the file and
// change them between two looks at it.
Status CaptureSession::add(OpenFile file, const proc::PidFd& process) {
  const proc::FdEntry& entry = file.entry;
  Group& group = alike_[{file.status.st_dev, file.status.st_ino,
                         entry.info.flags & (O_ACCMODE | O_PATH), entry.target}];
  const Holder holder{file.process, entry.fd};
  const bool close_on_exec = (entry.info.flags & O_CLOEXEC) != 0;
  OpenFile* same = CK_TRY(find_same(file, group));
  std::size_t index = files.size();
  if (same != nullptr) {
    index = static_cast<std::size_t>(same - files.data());
    add_locks(file, index);
  } else {
    CK_TRY(add_new(std::move(file), process, group));
    add_locks(files[index], index);
  }
  files[index].holders.push_back(holder);
  descriptors[holder.process].push_back({holder.fd, close_on_exec, index});
  return {};
}

Status CaptureSession::collect_process(std::size_t process) {
  const RealPid pid = processes[process].pid;
  const std::vector<int>& skip = processes[process].skip;
  proc::PidFd handle = CK_TRY(proc::PidFd::open(pid));
  for (proc::FdEntry& entry : CK_TRY(proc::read_descriptors(pid))) {
    if (std::count(skip.begin(), skip.end(), entry.fd) != 0) continue;
    OpenFile file;
    file.process = process;
    file.pid = pid;
    file.entry = std::move(entry);
    std::string path = proc::proc_path(pid, "fd/" + std::to_string(file.entry.fd));
    Status status = ::stat(path.c_str(), &file.status) == 0
                        ? add(std::move(file), handle)
                        : Status(sys_error("examine " + path + " -> " + file.entry.target));
    if (!status.ok() && !survey) return status;  // in a survey: closed meanwhile
  }
  return {};
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
