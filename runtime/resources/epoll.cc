// epoll instances. A target is a pair of an open file and the descriptor number under which it was
// added; the number may belong to another file by now, and still names the target.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <map>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/kcmp.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

struct Line {
  int fd = 0;
  std::uint32_t events = 0;
  std::uint64_t data = 0;
  ino_t inode = 0;
};

bool recognises(const CaptureSession&, const OpenFile& file) {
  return file.entry.target == "anon_inode:[eventpoll]";
}

std::uint64_t value_after(std::string_view line, std::string_view name, int base) {
  std::size_t at = line.find(name);
  return at == line.npos
             ? 0
             : proc::TextCursor(line.substr(at + name.size())).number<std::uint64_t>(base);
}

// "tfd:        5 events:       19 data:                5 pos:0 ino:61 sdev:e"
std::vector<Line> parse_targets(std::string_view text) {
  std::vector<Line> lines;
  for (std::string_view line : proc::fdinfo_lines(text, "tfd:")) {
    lines.push_back({proc::TextCursor(line).number<int>(),
                     static_cast<std::uint32_t>(value_after(line, "events:", 16)),
                     value_after(line, "data:", 16), value_after(line, "ino:", 16)});
  }
  return lines;
}

// Any of those that share an instance may have added a descriptor of its own.
std::vector<std::size_t> processes_of(const OpenFile& epoll) {
  std::vector<std::size_t> processes;
  for (const Holder& holder : epoll.holders) {
    if (processes.empty() || processes.back() != holder.process)
      processes.push_back(holder.process);
  }
  return processes;
}

Result<const OpenFile*> find_target(const CaptureSession& session, const OpenFile& epoll,
                                    const Line& line, unsigned index) {
  proc::FdOf instance{epoll.pid, epoll.entry.fd};
  for (std::size_t process : processes_of(epoll)) {
    const OpenFile* likely = session.by_descriptor(process, line.fd);
    if (likely != nullptr &&
        CK_TRY(proc::is_epoll_target(instance, line.fd, index, {likely->pid, likely->entry.fd}))) {
      return likely;
    }
  }
  for (const OpenFile& file : session.files) {
    if (file.status.st_ino != line.inode) continue;
    if (CK_TRY(proc::is_epoll_target(instance, line.fd, index, {file.pid, file.entry.fd})))
      return &file;
  }
  return make_error(ErrorKind::kRefused,
                    "this epoll instance watches a file (added as descriptor " +
                        std::to_string(line.fd) + ") that no descriptor of the job leads to");
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  EpollState state;
  std::map<int, unsigned> seen;  // several targets may have been added under one number
  for (const Line& line : parse_targets(file.entry.info.text)) {
    Result<const OpenFile*> target = find_target(session, file, line, seen[line.fd]++);
    if (!target.ok() && session.survey && target.error().kind != ErrorKind::kRefused) continue;
    EpollState::Target& out = *state.add_targets();
    out.set_fd(line.fd);
    out.set_events(line.events);
    out.set_data(line.data);
    out.set_open_file(CK_TRY(std::move(target))->index);
  }
  record.set_state(state.SerializeAsString());
  return {};
}

Result<Restored> restore(RestoreSession&, const image::OpenFileRecord&) {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return sys_error("create an epoll instance");
  return Restored(std::move(fd));
}

// The number is lent to the target for the moment of adding; descriptors get theirs afterwards.
Status add_target(RestoreSession& session, const EpollState::Target& target, int epoll) {
  if (!session.made.contains(target.open_file()) || target.fd() < 0 ||
      target.fd() >= session.context.base) {
    return make_error(ErrorKind::kBadImage, "an epoll target leads to no open file");
  }
  int source = CK_TRY(session.bring(target.open_file()));
  epoll_event event{};
  event.events = target.events();
  event.data.u64 = target.data();
  proc::Mailbox& box = session.box();
  auto address = box.put_value(event);
  box.add(SYS_dup3, source, target.fd(), O_CLOEXEC).stop_on_error();
  box.add(SYS_epoll_ctl, epoll, EPOLL_CTL_ADD, target.fd(), address);
  box.add(SYS_close, target.fd());
  CK_TRY(box.run());
  Status status =
      box.expect_all("add descriptor " + std::to_string(target.fd()) + " to an epoll instance");
  box.clear();
  return status;
}

Status connect(RestoreSession& session, const image::OpenFileRecord& record, int epoll) {
  auto state = CK_TRY(parse_state<EpollState>(record));
  for (const EpollState::Target& target : state.targets())
    CK_TRY(add_target(session, target, epoll));
  return {};
}

}  // namespace

const Kind kEpoll = {"epoll", recognises, capture, restore, connect};

}  // namespace ck::resources
