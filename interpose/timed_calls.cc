// Wrappers of blocking calls. The kernel does not tell how much of a relative time-out is left when
// a checkpoint interrupts a call, so these note the deadline on their stack (abi/timed_call.h).
// They call libc's own functions, which are cancellation points, and change nothing else.
//
// select, pselect and ppoll need no deadline: the kernel itself writes what remains to libc's copy.
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "interpose/agent.h"
#include "interpose/real.h"
#include "runtime/abi/gate.h"

#define CK_EXPORT extern "C" __attribute__((visibility("default")))

using ck::abi::TimedCall;

// What poll and ppoll become under _FORTIFY_SOURCE (bits/poll2.h declares them only there).
extern "C" int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t size);
extern "C" int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                           size_t size);

CK_DEFINE_REAL(__poll_chk);
CK_DEFINE_REAL(__ppoll_chk);
CK_DEFINE_REAL(clock_nanosleep);
CK_DEFINE_REAL(epoll_pwait);
CK_DEFINE_REAL(epoll_pwait2);
CK_DEFINE_REAL(epoll_wait);
CK_DEFINE_REAL(msgrcv);
CK_DEFINE_REAL(msgsnd);
CK_DEFINE_REAL(pause);
CK_DEFINE_REAL(poll);
CK_DEFINE_REAL(ppoll);
CK_DEFINE_REAL(pselect);
CK_DEFINE_REAL(recvmmsg);
CK_DEFINE_REAL(select);
CK_DEFINE_REAL(sem_clockwait);
CK_DEFINE_REAL(sem_timedwait);
CK_DEFINE_REAL(semop);
CK_DEFINE_REAL(semtimedop);
CK_DEFINE_REAL(sigsuspend);
CK_DEFINE_REAL(sigtimedwait);
CK_DEFINE_REAL(sigwaitinfo);

namespace ck::agent {
namespace {

constexpr int64_t kSecond = 1000000000;
constexpr int64_t kForever = INT64_MAX;

// The coarse clock is read four times faster; it stands still between two ticks of the kernel, of
// which there are at least 100 a second. So a call that a checkpoint interrupts ends up to a tick
// late, never early.
constexpr int64_t kLongestTick = 10000000;

int64_t earliest_now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * kSecond + now.tv_nsec + kLongestTick;
}

int64_t deadline_after(const timespec& delay) {
  int64_t deadline;
  if (__builtin_mul_overflow(delay.tv_sec, kSecond, &deadline) ||
      __builtin_add_overflow(deadline, delay.tv_nsec, &deadline) ||
      __builtin_add_overflow(deadline, earliest_now(), &deadline))
    return kForever;
  return deadline;
}

// Notes one call for as long as it lives. Nested notes (a signal handler's) are linked.
class Note {
 public:
  // Only what this form needs is written.
  explicit Note(int64_t number) {
    begin(number, abi::kNoTimeout, 0);
    publish();
  }
  // Milliseconds; negative or zero is no time-out that could be left over.
  Note(int64_t number, uint32_t index, int milliseconds) {
    begin(number, milliseconds > 0 ? abi::kMilliseconds : abi::kNoTimeout, index);
    if (milliseconds > 0) record_.deadline_ns = earliest_now() + milliseconds * INT64_C(1000000);
    publish();
  }
  // The call is given time(), a copy, in which the engine may put what remains.
  Note(int64_t number, uint32_t index, const timespec* timeout) : given_(timeout != nullptr) {
    begin(number, given_ ? abi::kTimespec : abi::kNoTimeout, index);
    if (given_) {
      record_.timespec[0] = timeout->tv_sec;
      record_.timespec[1] = timeout->tv_nsec;
      record_.deadline_ns = deadline_after(*timeout);
    }
    publish();
  }
  ~Note() { timed_call = record_.outer; }
  timespec* time() { return given_ ? reinterpret_cast<timespec*>(record_.timespec) : nullptr; }

 private:
  void begin(int64_t number, uint32_t form, uint32_t index) {
    record_.magic = abi::kTimedCallMagic;
    record_.number = number;
    record_.form = form;
    record_.index = index;
    record_.outer = timed_call;
  }
  void publish() {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);  // a freeze may come between any two instructions
    timed_call = &record_;
  }
  TimedCall record_;
  bool given_ = false;
};

int sleep_relative(clockid_t clock, const timespec* request, timespec* remaining) {
  Note note(SYS_clock_nanosleep, 2, request);
  return CK_REAL(clock_nanosleep)(clock, 0, note.time(), remaining);
}

bool is_cpu_clock(clockid_t clock) {
  return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

// CPU time has no deadline on CLOCK_MONOTONIC. But the kernel writes what remains whenever anything
// interrupts the call (do_cpu_nanosleep), and reads it again when the call is made again.
int sleep_cpu_time(clockid_t clock, const timespec* request, timespec* remaining) {
  timespec left = *request;
  Note note(SYS_clock_nanosleep);
  const int error = CK_REAL(clock_nanosleep)(clock, 0, &left, &left);
  if (error == EINTR && remaining != nullptr) *remaining = left;
  return error;
}

bool valid(const timespec& time) {
  return time.tv_sec >= 0 && time.tv_nsec >= 0 && time.tv_nsec < kSecond;
}

}  // namespace
}  // namespace ck::agent

using ck::agent::Note;

CK_EXPORT int clock_nanosleep(clockid_t clock, int flags, const timespec* request,
                              timespec* remaining) {
  if (flags == 0 && request != nullptr && ck::agent::valid(*request))
    return ck::agent::is_cpu_clock(clock) ? ck::agent::sleep_cpu_time(clock, request, remaining)
                                          : ck::agent::sleep_relative(clock, request, remaining);
  Note note(SYS_clock_nanosleep);
  return CK_REAL(clock_nanosleep)(clock, flags, request, remaining);
}

CK_EXPORT int nanosleep(const timespec* request, timespec* remaining) {
  const int error = clock_nanosleep(CLOCK_REALTIME, 0, request, remaining);
  if (error == 0) return 0;
  errno = error;
  return -1;
}

CK_EXPORT int thrd_sleep(const timespec* duration, timespec* remaining) {
  const int error = clock_nanosleep(CLOCK_REALTIME, 0, duration, remaining);
  return error == 0 ? 0 : error == EINTR ? -1 : -2;
}

CK_EXPORT unsigned sleep(unsigned seconds) {
  timespec time{static_cast<time_t>(seconds), 0};
  const int saved = errno;
  if (nanosleep(&time, &time) != 0) return static_cast<unsigned>(time.tv_sec);
  errno = saved;
  return 0;
}

CK_EXPORT int usleep(useconds_t microseconds) {
  const timespec time{static_cast<time_t>(microseconds / 1000000),
                      static_cast<long>(microseconds % 1000000 * 1000)};
  return nanosleep(&time, nullptr);
}

CK_EXPORT int poll(pollfd* fds, nfds_t count, int timeout) {
  Note note(SYS_poll, 2, timeout);
  return CK_REAL(poll)(fds, count, timeout);
}

CK_EXPORT int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  Note note(SYS_ppoll);
  return CK_REAL(ppoll)(fds, count, timeout, mask);
}

CK_EXPORT int __poll_chk(pollfd* fds, nfds_t count, int timeout, size_t size) {
  Note note(SYS_poll, 2, timeout);
  return CK_REAL(__poll_chk)(fds, count, timeout, size);
}

CK_EXPORT int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                          size_t size) {
  Note note(SYS_ppoll);
  return CK_REAL(__ppoll_chk)(fds, count, timeout, mask, size);
}

CK_EXPORT int select(int count, fd_set* reads, fd_set* writes, fd_set* others, timeval* timeout) {
  Note note(SYS_pselect6);
  return CK_REAL(select)(count, reads, writes, others, timeout);
}

CK_EXPORT int pselect(int count, fd_set* reads, fd_set* writes, fd_set* others,
                      const timespec* timeout, const sigset_t* mask) {
  Note note(SYS_pselect6);
  return CK_REAL(pselect)(count, reads, writes, others, timeout, mask);
}

CK_EXPORT int epoll_wait(int epoll, epoll_event* events, int count, int timeout) {
  Note note(SYS_epoll_wait, 3, timeout);
  return CK_REAL(epoll_wait)(epoll, events, count, timeout);
}

CK_EXPORT int epoll_pwait(int epoll, epoll_event* events, int count, int timeout,
                          const sigset_t* mask) {
  Note note(SYS_epoll_pwait, 3, timeout);
  return CK_REAL(epoll_pwait)(epoll, events, count, timeout, mask);
}

CK_EXPORT int epoll_pwait2(int epoll, epoll_event* events, int count, const timespec* timeout,
                           const sigset_t* mask) {
  Note note(SYS_epoll_pwait2, 3, timeout);
  return CK_REAL(epoll_pwait2)(epoll, events, count, note.time(), mask);
}

CK_EXPORT int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* timeout) {
  Note note(SYS_rt_sigtimedwait, 2, timeout);
  return CK_REAL(sigtimedwait)(set, info, note.time());
}

CK_EXPORT int sigwaitinfo(const sigset_t* set, siginfo_t* info) {
  Note note(SYS_rt_sigtimedwait);
  return CK_REAL(sigwaitinfo)(set, info);
}

CK_EXPORT int sigsuspend(const sigset_t* mask) {
  Note note(SYS_rt_sigsuspend);
  return CK_REAL(sigsuspend)(mask);
}

CK_EXPORT int pause() {
  Note note(SYS_pause);
  return CK_REAL(pause)();
}

CK_EXPORT int sem_timedwait(sem_t* semaphore, const timespec* deadline) {
  Note note(SYS_futex);
  return CK_REAL(sem_timedwait)(semaphore, deadline);
}

CK_EXPORT int sem_clockwait(sem_t* semaphore, clockid_t clock, const timespec* deadline) {
  Note note(SYS_futex);
  return CK_REAL(sem_clockwait)(semaphore, clock, deadline);
}

CK_EXPORT int semop(int id, sembuf* operations, size_t count) {
  Note note(SYS_semtimedop);  // what libc calls for it
  return CK_REAL(semop)(id, operations, count);
}

CK_EXPORT int semtimedop(int id, sembuf* operations, size_t count, const timespec* timeout) {
  Note note(SYS_semtimedop, 3, timeout);
  return CK_REAL(semtimedop)(id, operations, count, note.time());
}

CK_EXPORT ssize_t msgrcv(int id, void* message, size_t size, long type, int flags) {
  Note note(SYS_msgrcv);
  return CK_REAL(msgrcv)(id, message, size, type, flags);
}

CK_EXPORT int msgsnd(int id, const void* message, size_t size, int flags) {
  Note note(SYS_msgsnd);
  return CK_REAL(msgsnd)(id, message, size, flags);
}

// The kernel writes what is left of the time-out back.
CK_EXPORT int recvmmsg(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  Note note(SYS_recvmmsg, 4, timeout);
  const int received = CK_REAL(recvmmsg)(fd, messages, count, flags, note.time());
  if (timeout != nullptr) *timeout = *note.time();
  ck::agent::take_received(messages, received);
  return received;
}

// syscall(SYS_futex, word, FUTEX_WAIT, value, timeout): the only form with a relative time-out.
extern "C" __attribute__((used)) long ck_futex_call(long number, long word, long operation,
                                                    long value, long timeout, long word2,
                                                    long value3) {
  const bool relative = (operation & FUTEX_CMD_MASK) == FUTEX_WAIT;
  Note note(number, 3, relative ? reinterpret_cast<const timespec*>(timeout) : nullptr);
  if (note.time() != nullptr) timeout = reinterpret_cast<long>(note.time());
  const long result = ck::abi::gate(number, word, operation, value, timeout, word2, value3);
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

extern "C" __attribute__((used)) long ck_syscall_failed(long result) {
  errno = static_cast<int>(-result);
  return -1;
}

// All other numbers, and FUTEX_WAKE, which does not block, pass at the cost of a comparison or two,
// and without a stack frame: vfork may be one.
asm(".text\n"
    ".global syscall\n"
    ".type syscall, @function\n"
    "syscall:\n\t"
    "cmp $202, %rdi\n\t"  // SYS_futex
    "je 2f\n"
    "1:\n\t"
    "mov %rdi, %rax\n\t"
    "mov %rsi, %rdi\n\t"
    "mov %rdx, %rsi\n\t"
    "mov %rcx, %rdx\n\t"
    "mov %r8, %r10\n\t"
    "mov %r9, %r8\n\t"
    "mov 8(%rsp), %r9\n\t"
    "syscall\n\t"
    "cmp $-4095, %rax\n\t"
    "jae 3f\n\t"
    "ret\n"
    "2:\n\t"
    "mov %edx, %eax\n\t"
    "and $0x7f, %eax\n\t"  // FUTEX_CMD_MASK, as far as any command goes
    "cmp $1, %eax\n\t"     // FUTEX_WAKE
    "je 1b\n\t"
    "jmp ck_futex_call\n"
    "3:\n\t"
    "mov %rax, %rdi\n\t"
    "jmp ck_syscall_failed\n\t"
    ".size syscall, .-syscall\n");

namespace ck::agent {

void look_up_timed_calls(const NextLibraries& libraries) {
  CK_LOOK_UP(__poll_chk);
  CK_LOOK_UP(__ppoll_chk);
  CK_LOOK_UP(clock_nanosleep);
  CK_LOOK_UP(epoll_pwait);
  CK_LOOK_UP(epoll_pwait2);
  CK_LOOK_UP(epoll_wait);
  CK_LOOK_UP(msgrcv);
  CK_LOOK_UP(msgsnd);
  CK_LOOK_UP(pause);
  CK_LOOK_UP(poll);
  CK_LOOK_UP(ppoll);
  CK_LOOK_UP(pselect);
  CK_LOOK_UP(recvmmsg);
  CK_LOOK_UP(select);
  CK_LOOK_UP(sem_clockwait);
  CK_LOOK_UP(sem_timedwait);
  CK_LOOK_UP(semop);
  CK_LOOK_UP(semtimedop);
  CK_LOOK_UP(sigsuspend);
  CK_LOOK_UP(sigtimedwait);
  CK_LOOK_UP(sigwaitinfo);
}

}  // namespace ck::agent
