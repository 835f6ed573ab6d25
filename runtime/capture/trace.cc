#include "runtime/capture/trace.h"

#include <elf.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

namespace {

constexpr unsigned kMaxXstate = 65536;
constexpr int kPeekAtOnce = 32;
// PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13; glibc's ptrace.h is older.
constexpr int kGetRseqConfiguration = 0x420f;
// PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, Linux 6.4.
constexpr int kGetDispatchConfiguration = 0x4211;
constexpr unsigned long kOptions = PTRACE_O_TRACESYSGOOD;
constexpr int kSyscallStop = SIGTRAP | 0x80;  // with PTRACE_O_TRACESYSGOOD

long trace(long request, RealPid tid, unsigned long address = 0, unsigned long data = 0) {
  return ::syscall(SYS_ptrace, request, tid.value, address, data);
}

// What a thread that has stopped for a signal must get when it goes on; events and system calls are
// none.
unsigned long signal_to_deliver(const siginfo_t& stop) {
  const bool signal = stop.si_status >> 8 == 0 && stop.si_status != kSyscallStop;
  return signal ? static_cast<unsigned long>(stop.si_status) : 0;
}

template <typename T>
unsigned long raw(T* pointer) {
  return reinterpret_cast<unsigned long>(pointer);
}

Error cannot_seize(RealPid tid, RealPid process, int errnum) {
  Error error =
      sys_error("trace thread " + to_string(tid) + " of process " + to_string(process), errnum);
  const Result<proc::ProcessStatus> status = proc::read_status(tid);
  if (!status.ok()) return error;
  if (status->tracer.value != 0)
    return make_error(
        ErrorKind::kTryAgain,
        "process " + to_string(process) + " is traced by process " + to_string(status->tracer),
        "detach the debugger first");
  return std::move(error).with_hint(
      "the process is undumpable, of another user, or Yama forbids it");
}

}  // namespace

Result<std::optional<TracedThread>> TracedThread::seize(RealPid tid, RealPid process,
                                                        bool own_child) {
  if (trace(PTRACE_SEIZE, tid, 0, kOptions) != 0) {
    if (errno == ESRCH) return std::optional<TracedThread>();
    const int failure = errno;
    if (!proc::is_alive(tid)) return std::optional<TracedThread>();
    return cannot_seize(tid, process, failure);
  }
  TracedThread thread(tid, process, own_child);
  if (trace(PTRACE_INTERRUPT, tid) != 0 && errno != ESRCH) return thread.failed("PTRACE_INTERRUPT");
  return std::optional<TracedThread>(std::move(thread));
}

TracedThread::TracedThread(TracedThread&& other) noexcept
    : tid_(std::exchange(other.tid_, RealPid())),
      process_(other.process_),
      own_child_(other.own_child_),
      stopped_(other.stopped_),
      registers_(other.registers_) {}

TracedThread& TracedThread::operator=(TracedThread&& other) noexcept {
  std::swap(tid_, other.tid_);
  std::swap(process_, other.process_);
  std::swap(own_child_, other.own_child_);
  std::swap(stopped_, other.stopped_);
  std::swap(registers_, other.registers_);
  return *this;
}

TracedThread::~TracedThread() {
  if (!tid_) return;
  // Only a stopped thread can be detached; it was told to stop, so this ends with its wait or
  // death.
  if (!stopped_) (void)wait_stopped(std::chrono::steady_clock::now() + std::chrono::seconds(1));
  if (tid_) (void)detach();
}

Error TracedThread::failed(const char* request) const {
  return sys_error(std::string(request) + " thread " + to_string(tid_) + " of process " +
                   to_string(process_));
}

Result<siginfo_t> TracedThread::next_stop(Deadline deadline) {
  const int ended = own_child_ ? 0 : WEXITED;
  auto nap = std::chrono::microseconds(5);
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(tid_.value), &info,
                 WSTOPPED | ended | __WALL | WNOHANG) != 0)
      return gone();
    if (info.si_pid != 0) {
      if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) return gone();
      return info;
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      const Result<proc::ProcessStatus> status = proc::read_status(tid_);
      if (!status.ok() || status->state == 'Z' || status->state == 'X') return gone();
      return make_error(ErrorKind::kTryAgain,
                        "thread " + to_string(tid_) + " of process " + to_string(process_) +
                            " does not stop (state " + status->state + ")",
                        "it waits in the kernel for a disk, a file system or a vfork child");
    }
    std::this_thread::sleep_for(nap);
    nap = std::min(nap * 2, std::chrono::microseconds(1000));
  }
}

Error TracedThread::gone() {
  return make_error(ErrorKind::kNotFound, "thread " + to_string(std::exchange(tid_, RealPid())) +
                                              " of process " + to_string(process_) + " has ended");
}

// Stops of a traced thread are told whether asked for or not (waitid(2)): they stay there.
void TracedThread::collect() {
  if (!tid_ || own_child_) return;
  const auto id = static_cast<id_t>(tid_.value);
  siginfo_t info{};
  const int look = ::waitid(P_PID, id, &info, WEXITED | __WALL | WNOHANG | WNOWAIT);
  const bool lives =
      look == 0 && (info.si_pid == 0 || info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED);
  if (lives) return;
  if (look == 0) (void)::waitid(P_PID, id, &info, WEXITED | __WALL | WNOHANG);
  tid_ = RealPid();
}

void TracedThread::leave_to_kernel() {
  if (!stopped_) tid_ = RealPid();
}

Result<TracedThread::Stop> TracedThread::wait_stopped(Deadline deadline) {
  if (!tid_) return Stop::kGone;
  for (;;) {
    const Result<siginfo_t> info = next_stop(deadline);
    if (!info.ok()) {
      if (info.error().kind == ErrorKind::kNotFound) return Stop::kGone;
      return info.error();
    }
    if (info->si_status >> 8 == PTRACE_EVENT_STOP) {
      stopped_ = true;
      return (info->si_status & 0xff) == SIGTRAP ? Stop::kTrapped : Stop::kGroupStopped;
    }
    // A signal on its way to the program: let it through, the stop that was asked for follows.
    if (trace(PTRACE_CONT, tid_, 0, signal_to_deliver(*info)) != 0 && errno != ESRCH)
      return failed("PTRACE_CONT");
  }
}

Result<user_regs_struct> TracedThread::registers() const {
  if (registers_) return *registers_;
  user_regs_struct registers{};
  if (trace(PTRACE_GETREGS, tid_, 0, raw(&registers)) != 0) return failed("PTRACE_GETREGS");
  registers_ = registers;
  return registers;
}

Status TracedThread::set_registers(const user_regs_struct& registers) const {
  if (trace(PTRACE_SETREGS, tid_, 0, raw(&registers)) != 0) return failed("PTRACE_SETREGS");
  registers_.reset();
  return {};
}

Result<std::vector<std::byte>> TracedThread::xstate() const {
  alignas(64) std::byte bytes[kMaxXstate];  // not cleared: the kernel says how much it has written
  iovec vector{bytes, sizeof bytes};
  if (trace(PTRACE_GETREGSET, tid_, NT_X86_XSTATE, raw(&vector)) != 0)
    return failed("PTRACE_GETREGSET NT_X86_XSTATE");
  return std::vector<std::byte>(bytes, bytes + vector.iov_len);
}

Result<std::uint64_t> TracedThread::signal_mask() const {
  std::uint64_t mask = 0;
  if (trace(PTRACE_GETSIGMASK, tid_, sizeof mask, raw(&mask)) != 0)
    return failed("PTRACE_GETSIGMASK");
  return mask;
}

Status TracedThread::set_signal_mask(std::uint64_t mask) const {
  if (trace(PTRACE_SETSIGMASK, tid_, sizeof mask, raw(&mask)) != 0)
    return failed("PTRACE_SETSIGMASK");
  return {};
}

Result<RseqState> TracedThread::rseq() const {
  struct {
    std::uint64_t pointer;
    std::uint32_t size, signature, flags, pad;
  } configuration{};
  if (trace(kGetRseqConfiguration, tid_, sizeof configuration, raw(&configuration)) < 0) {
    if (errno == EIO || errno == EINVAL) return RseqState{};  // a kernel without rseq
    return failed("PTRACE_GET_RSEQ_CONFIGURATION");
  }
  return RseqState{configuration.pointer, configuration.size, configuration.signature};
}

Result<bool> TracedThread::dispatches_calls() const {
  struct {
    std::uint64_t mode, selector, offset, length;
  } configuration{};
  if (trace(kGetDispatchConfiguration, tid_, sizeof configuration, raw(&configuration)) != 0) {
    if (errno == EIO || errno == EINVAL) return false;  // before Linux 6.4
    return failed("PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG");
  }
  return configuration.mode != 0;
}

Result<std::vector<QueuedSignal>> TracedThread::queued_signals(bool of_process) const {
  std::vector<QueuedSignal> result;
  for (;;) {
    siginfo_t infos[kPeekAtOnce];
    __ptrace_peeksiginfo_args args{};
    args.off = result.size();
    args.flags = of_process ? PTRACE_PEEKSIGINFO_SHARED : 0;
    args.nr = kPeekAtOnce;
    const long count = trace(PTRACE_PEEKSIGINFO, tid_, raw(&args), raw(infos));
    if (count < 0) return failed("PTRACE_PEEKSIGINFO");
    for (long i = 0; i < count; ++i) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&infos[i]);
      result.push_back({infos[i].si_signo, {bytes, bytes + sizeof infos[i]}});
    }
    if (count < kPeekAtOnce) return result;
  }
}

Status TracedThread::resume() {
  if (trace(PTRACE_CONT, tid_) != 0) return failed("PTRACE_CONT");
  stopped_ = false;
  registers_.reset();
  return {};
}

// A thread of a stopped program reports its group stop more than once: for the seizure, for our
// interrupt, and whenever SIGCONT or a stop signal comes (ptrace(2), group-stop).
void TracedThread::pump() {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(tid_.value), &info, WSTOPPED | __WALL | WNOHANG) == 0 &&
      info.si_pid != 0)
    (void)trace(PTRACE_CONT, tid_, 0, signal_to_deliver(info));
}

bool TracedThread::enters_sigreturn() const {
  __ptrace_syscall_info info{};
  return trace(PTRACE_GET_SYSCALL_INFO, tid_, sizeof info, raw(&info)) > 0 &&
         info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_rt_sigreturn;
}

// To the next entry into a system call, or exit from one. Signals on their way pass.
Status TracedThread::run_to_call_stop(Deadline deadline) {
  registers_.reset();
  for (unsigned long signal = 0;;) {
    if (trace(PTRACE_SYSCALL, tid_, 0, signal) != 0) return failed("PTRACE_SYSCALL");
    stopped_ = false;
    const siginfo_t info = CK_TRY(next_stop(deadline));
    stopped_ = true;
    if (info.si_status == kSyscallStop) return {};
    signal = signal_to_deliver(info);
  }
}

Status TracedThread::run_to_sigreturn(Deadline deadline) {
  do {
    CK_TRY(run_to_call_stop(deadline));
  } while (!enters_sigreturn());
  return run_to_call_stop(deadline);  // it has returned
}

bool TracedThread::leaves_call() const {
  __ptrace_syscall_info info{};
  return trace(PTRACE_GET_SYSCALL_INFO, tid_, sizeof info, raw(&info)) > 0 &&
         info.op == PTRACE_SYSCALL_INFO_EXIT;
}

Status TracedThread::run_until(Deadline deadline, const std::function<Result<bool>()>& enough) {
  do {
    CK_TRY(run_to_call_stop(deadline));
  } while (!leaves_call() || !CK_TRY(enough()));
  return {};
}

Status TracedThread::interrupt() {
  if (trace(PTRACE_INTERRUPT, tid_) != 0) return failed("PTRACE_INTERRUPT");
  return {};
}

Status TracedThread::die_with_tracer(bool dies) const {
  const unsigned long options = kOptions | (dies ? PTRACE_O_EXITKILL : 0);
  if (trace(PTRACE_SETOPTIONS, tid_, 0, options) != 0) return failed("PTRACE_SETOPTIONS");
  return {};
}

// A thread that was killed while it stood still is no longer there to be detached; but until its
// tracer has collected it, nobody else is told of its end, nor of its process's (ptrace(2)).
Status TracedThread::detach() {
  const bool gone = trace(PTRACE_DETACH, tid_) != 0;
  if (gone && errno != ESRCH) return failed("PTRACE_DETACH");
  const RealPid ended = std::exchange(tid_, RealPid());
  if (!gone || own_child_) return {};
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(ended.value), &info, WEXITED | __WALL | WNOHANG) == 0 &&
         info.si_pid == 0 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  return {};
}

}  // namespace ck::capture
