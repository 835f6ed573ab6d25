#include "runtime/resources/capture.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/kcmp.h"
#include "runtime/proc/proc_file.h"
#include "runtime/resources/locks.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

// What descriptors of one open file have in common; only where all of it is equal need the kernel
// be asked. All anonymous inodes (eventfd, epoll, …) share one inode number.
using Likeness = std::tuple<dev_t, ino_t, std::uint32_t, std::int64_t, std::string>;

Likeness likeness(const OpenFile& file) {
  return {file.status.st_dev, file.status.st_ino, file.entry.info.flags & ~unsigned{O_CLOEXEC},
          file.entry.info.position, file.entry.target};
}

std::string link_text(const OpenFile& file) {
  return "fd " + std::to_string(file.entry.fd) + " -> " + file.entry.target;
}

Error about(Error error, const OpenFile& file) {
  return std::move(error).within(link_text(file));
}

Status capture_file(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  const Kind* kind = find_kind(session, file);
  if (kind == nullptr) return about(refusal(file), file);
  record.set_kind(kind->name);
  Status status = kind->capture(session, file, record);
  if (!status.ok()) return about(std::move(status).error(), file);
  return {};
}

image::OpenFileRecord common_record(const OpenFile& file) {
  image::OpenFileRecord record;
  record.set_flags(file.entry.info.flags & ~unsigned{O_CLOEXEC});
  record.set_position(file.entry.info.position);
  record.set_name(file.entry.target);
  record.set_same_as_fd(static_cast<unsigned>(file.entry.fd));
  return record;
}

// Who gets SIGIO, and as which signal: asked inside, where pids are those that the program knows.
Status capture_owners(const CaptureContext& context, std::span<OpenFile> files,
                      image::Manifest& manifest) {
  constexpr std::size_t kBatch = 40;
  proc::Mailbox& box = *context.mailbox;
  struct Asked {
    proc::Mailbox::Address owner;
    proc::Mailbox::CallRef owner_call, signal_call;
  };
  while (!files.empty()) {
    auto part = files.first(std::min(kBatch, files.size()));
    files = files.subspan(part.size());
    std::vector<Asked> asked;
    box.clear();
    for (const OpenFile& file : part) {
      auto owner = box.reserve(sizeof(f_owner_ex));
      int fd = file.entry.fd;
      asked.push_back(
          {owner, box.add(SYS_fcntl, fd, F_GETOWN_EX, owner), box.add(SYS_fcntl, fd, F_GETSIG, 0)});
    }
    CK_TRY(box.run());
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (box.result(asked[i].owner_call) < 0 || box.result(asked[i].signal_call) < 0)
        continue;  // O_PATH
      auto owner = box.value_at<f_owner_ex>(asked[i].owner);
      image::OpenFileRecord& record =
          *manifest.mutable_open_files(static_cast<int>(part[i].index) - 1);
      record.set_owner_type(owner.pid != 0 ? owner.type : 0);
      record.set_owner(owner.pid);
      record.set_io_signal(static_cast<int>(box.result(asked[i].signal_call)));
    }
  }
  box.clear();
  return {};
}

void add_descriptors(const CaptureSession& session, const OpenFile& file,
                     image::ProcessRecord& process) {
  for (int fd : file.fds) {
    image::DescriptorRecord& record = *process.add_descriptors();
    record.set_fd(fd);
    record.set_open_file(file.index);
    record.set_close_on_exec(session.close_on_exec.at(fd));
  }
}

}  // namespace

Result<OpenFile*> CaptureSession::find_same(const OpenFile& file, Group& group) {
  std::size_t high = group.members.size();
  group.place = 0;
  while (group.place < high) {
    std::size_t middle = (group.place + high) / 2;
    OpenFile& other = files[group.members[middle]];
    auto order = CK_TRY(
        proc::compare_open_files({context.pid, file.entry.fd}, {context.pid, other.entry.fd}));
    if (order == 0) return &other;
    (order < 0 ? high : group.place) = order < 0 ? middle : middle + 1;
  }
  return nullptr;
}

Status CaptureSession::add(OpenFile file, const proc::PidFd& process, Group& group) {
  close_on_exec[file.entry.fd] = (file.entry.info.flags & O_CLOEXEC) != 0;
  OpenFile* same = CK_TRY(find_same(file, group));
  if (same != nullptr) {
    same->fds.push_back(file.entry.fd);
    return {};
  }
  Result<UniqueFd> copy = process.get_descriptor(file.entry.fd);
  if (!copy.ok() && !survey) return std::move(copy).error();
  if (copy.ok()) file.duplicate = *std::move(copy);
  file.fds.push_back(file.entry.fd);
  file.index = first_index_ + static_cast<std::uint32_t>(files.size()) + 1;
  group.members.insert(group.members.begin() + static_cast<std::ptrdiff_t>(group.place),
                       files.size());
  files.push_back(std::move(file));
  return {};
}

Status CaptureSession::collect(std::uint32_t first_index) {
  first_index_ = first_index;
  stat = CK_TRY(proc::read_stat(context.pid));
  proc::PidFd process = CK_TRY(proc::PidFd::open(context.pid));
  std::map<Likeness, Group> alike;
  for (proc::FdEntry& entry : CK_TRY(proc::read_descriptors(context.pid))) {
    if (std::count(context.skip.begin(), context.skip.end(), entry.fd) != 0) continue;
    OpenFile file;
    file.pid = context.pid;
    std::string path = proc::proc_path(context.pid, "fd/" + std::to_string(entry.fd));
    file.entry = std::move(entry);
    Status status;
    if (::stat(path.c_str(), &file.status) != 0) {
      status = sys_error("examine " + link_text(file) + " of process " + to_string(context.pid));
    } else {
      Group& group = alike[likeness(file)];
      status = add(std::move(file), process, group);
    }
    if (!status.ok() && !survey) return status;  // in a survey: closed meanwhile
  }
  return {};
}

const OpenFile* CaptureSession::by_descriptor(int fd) const {
  for (const OpenFile& file : files) {
    if (std::count(file.fds.begin(), file.fds.end(), fd) != 0) return &file;
  }
  return nullptr;
}

int CaptureSession::standard_stream(const OpenFile& file) const {
  for (int fd : file.fds) {
    if (fd <= 2) return fd;
  }
  // By its use first: a pair of sockets or a terminal may serve as several.
  constexpr int kOrders[3][3] = {{0, 1, 2}, {1, 2, 0}, {0, 1, 2}};
  for (int fd : kOrders[file.access() % 3]) {
    const OpenFile* standard = by_descriptor(fd);
    if (standard != nullptr && standard->is_same_inode(file)) return fd;
  }
  return -1;
}

Status capture_descriptors(const CaptureContext& context, image::ProcessRecord& process,
                           image::Manifest& manifest, memory::ObjectTable& objects) {
  CaptureSession session(context, objects, false);
  CK_TRY(session.collect(static_cast<std::uint32_t>(manifest.open_files_size())));
  for (const OpenFile& file : session.files) *manifest.add_open_files() = common_record(file);
  CK_TRY(capture_owners(context, session.files, manifest));
  for (OpenFile& file : session.files) {
    add_descriptors(session, file, process);
    CK_TRY(capture_file(session, file,
                        *manifest.mutable_open_files(static_cast<int>(file.index) - 1)));
  }
  CK_TRY(capture_locks(session, process));
  return {};
}

Result<std::vector<Objection>> classify(RealPid pid) {
  CaptureContext context;
  context.pid = pid;
  image::Manifest manifest;
  memory::ObjectTable objects(memory::ObjectTable::Purpose::kSurvey, manifest, "");
  CaptureSession session(context, objects, true);
  CK_TRY(session.collect(0));
  std::vector<Objection> objections;
  for (OpenFile& file : session.files) {
    image::OpenFileRecord record = common_record(file);
    const Kind* kind = find_kind(session, file);
    Status status = kind != nullptr ? kind->capture(session, file, record) : Status(refusal(file));
    if (!status.ok()) {
      objections.push_back({link_text(file), status.error().message, status.error().hint, true});
    }
  }
  for (Objection& note : session.notes) objections.push_back(std::move(note));
  return objections;
}

}  // namespace ck::resources
