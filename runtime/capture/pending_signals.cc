#include "runtime/capture/pending_signals.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include <algorithm>

#include "runtime/abi/sigaction.h"
#include "runtime/base/timespec.h"
#include "runtime/proc/posix_timers.h"

namespace ck::capture {

using proc::Mailbox;

namespace {

constexpr int kMaxTries = 100;

std::int64_t microseconds(const timeval& time) {
  return time.tv_sec * 1'000'000 + time.tv_usec;
}

std::uint64_t bit_of(int signal) {
  return std::uint64_t{1} << (signal - 1);
}

std::uint64_t mask_of(const std::vector<QueuedSignal>& queued) {
  std::uint64_t mask = 0;
  for (const QueuedSignal& signal : queued) mask |= bit_of(signal.number);
  return mask;
}

struct TimerReading {
  IntervalTimers intervals{};
  std::vector<itimerspec> posix;

  // Between two readings a timer that did not fire only runs down.
  bool fired_since(const TimerReading& before) const {
    for (std::size_t which = 0; which < intervals.size(); ++which) {
      const std::int64_t then = microseconds(before.intervals[which].it_value);
      const std::int64_t now = microseconds(intervals[which].it_value);
      if (then != 0 && (now == 0 || now > then)) return true;
    }
    for (std::size_t i = 0; i < posix.size(); ++i) {
      const std::int64_t then = to_nanoseconds(before.posix[i].it_value);
      const std::int64_t now = to_nanoseconds(posix[i].it_value);
      if (then != 0 && (now == 0 || now > then)) return true;
    }
    return false;
  }
};

Result<TimerReading> read_timers(FrozenProcess& process,
                                 const std::vector<proc::PosixTimer>& timers) {
  TimerReading reading{};
  Mailbox box = process.mailbox();
  const Mailbox::Address intervals = box.reserve(sizeof reading.intervals);
  for (int which = 0; which < 3; ++which)
    box.add(SYS_getitimer, which,
            intervals + static_cast<std::uint64_t>(which) * sizeof(itimerval));
  CK_TRY(box.run());
  CK_TRY(box.expect_all("ask for interval timers"));
  reading.intervals = box.value_at<IntervalTimers>(intervals);
  for (const proc::PosixTimer& timer : timers) {
    box.clear();
    const Mailbox::Address setting = box.reserve(sizeof(itimerspec));
    box.add(SYS_timer_gettime, timer.id, setting);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("ask for a POSIX timer"));
    reading.posix.push_back(box.value_at<itimerspec>(setting));
  }
  return reading;
}

// No call shows a pending signal's siginfo but the one that takes it; so each is taken and queued
// again.
Status take_and_queue_again(FrozenProcess& process, std::size_t thread, std::uint64_t signals,
                            bool of_process, std::vector<QueuedSignal>& queued) {
  for (int number = 1; number <= abi::kLastSignal; ++number) {
    if (!(signals & bit_of(number)) || number == SIGKILL || number == SIGSTOP) continue;
    Mailbox box = process.mailbox(thread);
    const Mailbox::Address set = box.put_value(bit_of(number));
    const Mailbox::Address info = box.reserve(sizeof(siginfo_t));
    const Mailbox::Address at_once = box.put_value(timespec{});
    const auto taken = box.add(SYS_rt_sigtimedwait, set, info, at_once, 8);
    taken.stop_on_error();
    const pid_t pid = process.inner_pid;
    if (of_process)
      box.add(SYS_rt_sigqueueinfo, pid, number, info);
    else
      box.add(SYS_rt_tgsigqueueinfo, pid, process.threads[thread].inner, number, info);
    CK_TRY(box.run());
    if (box.result(taken) != number) continue;
    const std::span<std::byte> bytes = box.view(info, sizeof(siginfo_t));
    queued.push_back({number, {bytes.begin(), bytes.end()}});
  }
  return {};
}

Status collect_new_signals(FrozenProcess& process) {
  const proc::ProcessStatus now = CK_TRY(proc::read_status(process.witness));
  CK_TRY(take_and_queue_again(process, 0, now.shared_pending & ~mask_of(process.pending), true,
                              process.pending));
  for (std::size_t i = 0; i < process.threads.size(); ++i) {
    FrozenThread& thread = process.threads[i];
    const proc::ProcessStatus own = CK_TRY(proc::read_status(thread.real));
    CK_TRY(take_and_queue_again(process, i, own.pending & ~mask_of(thread.pending), false,
                                thread.pending));
  }
  return {};
}

void save(const FrozenProcess& process, const std::vector<proc::PosixTimer>& timers,
          const TimerReading& reading, image::ProcessRecord& record) {
  for (int which = 0; which < 3; ++which) {
    const itimerval& value = reading.intervals[static_cast<std::size_t>(which)];
    if (microseconds(value.it_value) == 0 && microseconds(value.it_interval) == 0) continue;
    image::IntervalTimerRecord& saved = *record.add_interval_timers();
    saved.set_which(which);
    saved.set_interval_us(microseconds(value.it_interval));
    saved.set_remaining_us(microseconds(value.it_value));
  }
  for (std::size_t i = 0; i < timers.size(); ++i) {
    image::PosixTimerRecord& saved = *record.add_posix_timers();
    saved.set_id(timers[i].id);
    saved.set_clock(timers[i].clock);
    saved.set_notify(timers[i].notify);
    saved.set_signal(timers[i].signal);
    saved.set_value(timers[i].value);
    saved.set_interval_ns(to_nanoseconds(reading.posix[i].it_interval));
    saved.set_remaining_ns(to_nanoseconds(reading.posix[i].it_value));
    for (const FrozenThread& thread : process.threads)
      if (thread.real == timers[i].target || thread.inner == timers[i].target.value)
        saved.set_tid(thread.tid.value);
  }
}

bool runs(const itimerval& timer) {
  return microseconds(timer.it_value) != 0;
}

// Some signal that the freeze has not seen.
bool has_new(const FrozenProcess& process, const std::vector<std::uint64_t>& pending) {
  const std::uint64_t of_process = mask_of(process.pending);
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (pending[i] & ~of_process & ~mask_of(process.threads[i].pending)) return true;
  return false;
}

}  // namespace

Status capture_timers_and_signals(FrozenProcess& process, const IntervalTimers& intervals,
                                  const std::vector<std::uint64_t>& pending,
                                  image::ProcessRecord& record) {
  const std::vector<proc::PosixTimer> timers = CK_TRY(proc::read_posix_timers(process.witness));
  if (timers.empty() && std::none_of(intervals.begin(), intervals.end(), runs)) {
    save(process, timers, {intervals, {}}, record);
    return has_new(process, pending) ? collect_new_signals(process) : Status();
  }
  TimerReading before = CK_TRY(read_timers(process, timers));
  for (int tries = 0; tries < kMaxTries; ++tries) {
    CK_TRY(collect_new_signals(process));
    TimerReading after = CK_TRY(read_timers(process, timers));
    const bool fired = after.fired_since(before);
    before = std::move(after);
    if (!fired) break;
  }
  save(process, timers, before, record);
  return {};
}

}  // namespace ck::capture
