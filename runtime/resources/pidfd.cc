// pidfds: of processes of the job, and of such as were collected long ago.
#include <fcntl.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/status.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr std::uint32_t kThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9

bool recognises(const CaptureSession&, const OpenFile& file) {
  return file.entry.target == "anon_inode:[pidfd]" || file.entry.target.starts_with("pidfd:");
}

bool in_job(const CaptureSession& session, const proc::ProcessStatus& process) {
  return session.find_process(process.tgid) ||
         (process.state == 'Z' && session.find_process(process.ppid));
}

// As fdinfo shows it: "Pid: -1" once the process has been collected.
Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  proc::TextCursor field(proc::fdinfo_field(file.entry.info.text, "Pid"));
  const pid_t pid = field.number<pid_t>();
  if (field.failed() || pid == 0)
    return make_error(ErrorKind::kRefused, "the kernel does not tell its process");
  PidState state;
  if (pid > 0) {
    const Result<proc::ProcessStatus> process = proc::read_status(RealPid(pid));
    if (!process.ok() || !in_job(session, *process))
      return make_error(ErrorKind::kRefused, "it is a pidfd of process " + std::to_string(pid) +
                                                 ", which is not one of the job");
    if (process->tgid != process->pid)
      return make_error(ErrorKind::kRefused, "it is a pidfd of a thread");
    const pid_t inner = process->ns_pid.empty() ? pid : process->ns_pid.back();
    if (!session.survey) state.set_pid(session.processes[0].mailbox->area().virtual_id(inner));
  }
  record.set_state(state.SerializeAsString());
  return {};
}

// Of a child that ends at once and is collected: one is as good as any other, if it was in the
// job's pid namespace.
Result<Restored> of_collected(RestoreSession& session) {
  CK_CHECK(session.context.area != nullptr);
  proc::Mailbox& box = session.box();
  const unsigned slot = session.context.spare_slot;
  proc::Mailbox child(*session.context.area, slot, box.area_address(), box.pid());
  child.slot()->self_released = 0;
  child.slot()->orphan_exits = 1;
  child.clear();
  child.add(SYS_exit_group, 0);
  child.start();  // it finds the list when it arrives
  box.clear();
  const auto place = box.put_value<std::int32_t>(-1);
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = place;
  args.stack = box.slot_address(slot) + offsetof(abi::ThreadSlot, stack);
  args.stack_size = abi::kStackBytes;
  const pid_t pid = CK_TRY(box.clone(args, slot));
  const int fd = box.value_at<std::int32_t>(place);
  box.clear();
  CK_TRY(box.call("collect a process that left its pidfd", SYS_wait4, pid, 0, __WALL, 0));
  return Restored::in_process(CK_TRY(session.move_up(fd)));
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  const PidState state = CK_TRY(parse_state<PidState>(record));
  if (state.pid() == 0) return of_collected(session);
  const long fd = CK_TRY(session.box().call(
      "open a pidfd of process " + std::to_string(state.pid()), SYS_pidfd_open,
      session.box().area().real_id(state.pid()), record.flags() & (O_NONBLOCK | kThread)));
  return Restored::in_process(CK_TRY(session.move_up(static_cast<int>(fd))));
}

}  // namespace

const Kind kPidFd = {"pidfd", recognises, capture, restore};

}  // namespace ck::resources
