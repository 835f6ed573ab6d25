#include "runtime/capture/twin.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <chrono>
#include <deque>
#include <optional>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/proc/slot_state.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

using proc::Mailbox;

namespace {

constexpr std::chrono::milliseconds kDeathTime{500};

struct Advice {
  const proc::Mapping* mapping;
  int before;  // the fork
  int after;
};

std::vector<Advice> advice_for_fork(const std::vector<proc::Mapping>& mappings) {
  std::vector<Advice> result;
  for (const proc::Mapping& mapping : mappings) {
    // The kernel lets nobody keep it over a fork, and nothing of it is read.
    if (mapping.vm_flags & proc::kVmDroppable) continue;
    if (mapping.vm_flags & proc::kVmDontFork)
      result.push_back({&mapping, MADV_DOFORK, MADV_DONTFORK});
    if (mapping.vm_flags & proc::kVmWipeOnFork)
      result.push_back({&mapping, MADV_KEEPONFORK, MADV_WIPEONFORK});
  }
  return result;
}

Status advise(FrozenProcess& process, const std::vector<Advice>& list, int Advice::*which) {
  Mailbox box = process.mailbox();
  for (std::size_t i = 0; i < list.size();) {
    box.clear();
    for (; i < list.size() && box.calls_left() > 0; ++i)
      box.add(SYS_madvise, list[i].mapping->begin, list[i].mapping->size(), list[i].*which);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("change fork advice"));
  }
  return {};
}

void expect_child(abi::ThreadSlot& slot) {
  slot.orphan_exits = 1;
  slot.self_released = 0;
  slot.state = abi::kArriving;
}

clone_args args_for(const Mailbox& box, unsigned slot, std::uint64_t flags) {
  clone_args args{};
  args.flags = flags;
  args.stack = box.slot_address(slot) + offsetof(abi::ThreadSlot, stack);
  args.stack_size = abi::kStackBytes;
  return args;
}

// The kernel told the process the child's pid in its own namespace; we need ours.
Result<RealPid> real_child(const FrozenProcess& process, RealPid parent, pid_t innermost) {
  const bool same_ids = process.inner_pid == process.pid.value;
  const RealPid pid = same_ids ? RealPid(innermost) : proc::find_child(parent, innermost);
  if (pid) return pid;
  return make_error(ErrorKind::kTryAgain,
                    "the copy of process " + to_string(parent) + " died at once",
                    "is memory short?");
}

}  // namespace

// One fork, in steps: each waits for what the step before it has begun, so that the processes of a
// job work at the same time.
class TwinFork {
 public:
  explicit TwinFork(const Twin::Wanted& wanted)
      : process_(*wanted.process),
        parent_(wanted.parent),
        sharing_(wanted.memory == Twin::Memory::kShared ? CLONE_VM : 0),
        slot_(process_.slots_end()),
        advice_(sharing_ != 0 ? std::vector<Advice>() : advice_for_fork(process_.mappings)),
        box_(process_.mailbox()) {}

  // What is under way is waited for, or a helper would stay behind that nobody collects. A process
  // that is killed while it forks may leave a child of which it could not tell.
  ~TwinFork() {
    if (done_) return;
    if (busy_) (void)box_.wait_parked();
    if (helper_) (void)end_helper();
    if (busy_) (void)box_.wait_parked();
    for (unsigned made : {slot_, slot_ + 1})
      proc::set_slot_state(*process_.area().slot(made), abi::kDismissed);
    (void)advise(process_, advice_, &Advice::after);
  }
  TwinFork(const TwinFork&) = delete;
  TwinFork& operator=(const TwinFork&) = delete;

  static constexpr int kSteps = 5;
  Status step(int number) {
    switch (number) {
      case 0:
        return begin();
      case 1:
        return fork();
      case 2:
        return note_child();
      case 3:
        return close_descriptors();
      default:
        return finish();
    }
  }
  std::unique_ptr<Twin> take() { return std::move(twin_); }

 private:
  Status begin() {
    CK_TRY(advise(process_, advice_, &Advice::before));
    box_.clear();
    if (parent_ == Twin::Parent::kReaper)
      start_clone(box_, slot_, CLONE_PARENT | sharing_, 0);
    else
      start_clone(box_, slot_ + 1, CLONE_VM | CLONE_FILES | CLONE_FS, 0);
    busy_ = true;
    return {};
  }

  // The helper shares the memory of the process and has no exit signal, so that its end is not told
  // to the program and no wait of it but ours (__WALL) sees it.
  Status fork() {
    if (parent_ == Twin::Parent::kReaper) return {};
    helper_id_ = CK_TRY(finish_clone());
    const RealPid helper = CK_TRY(real_child(process_, process_.pid, helper_id_));
    helper_.emplace(process_.mailbox_of(slot_ + 1, helper));
    CK_TRY(helper_->wait_parked());
    start_clone(*helper_, slot_, sharing_, SIGCHLD);
    return {};
  }

  Status note_child() {
    const bool beside = parent_ == Twin::Parent::kReaper;
    const pid_t child = beside ? CK_TRY(finish_clone()) : CK_TRY(helper_->finish_clone());
    const RealPid made_by = beside ? process_.status.ppid : helper_->pid();
    const RealPid pid = CK_TRY(real_child(process_, made_by, child));
    twin_.reset(new Twin(pid));
    return helper_ ? end_helper() : Status();
  }

  // Or whoever reads a pipe of the program waits for the twin to close it.
  Status close_descriptors() {
    if (busy_) CK_TRY(collect_helper());
    twin_box_.emplace(process_.mailbox_of(slot_, twin_->pid()));
    CK_TRY(twin_box_->wait_parked());
    twin_box_->add(SYS_close_range, 0, ~0u, 0);
    twin_box_->start();
    return {};
  }

  Status finish() {
    CK_TRY(twin_box_->finish());
    CK_TRY(twin_box_->expect_all("close the twin's descriptors"));
    CK_TRY(advise(process_, advice_, &Advice::after));
    done_ = true;
    return {};
  }

  void start_clone(Mailbox& box, unsigned slot, std::uint64_t flags, int exit_signal) {
    expect_child(*process_.area().slot(slot));
    clone_args args = args_for(box, slot, flags);
    args.exit_signal = static_cast<std::uint64_t>(exit_signal);
    box.start_clone(args, slot);
  }

  Result<pid_t> finish_clone() {
    Result<pid_t> child = box_.finish_clone();
    busy_ = false;
    return child;
  }

  Status end_helper() {
    helper_->clear();
    helper_->add(SYS_exit, 0);
    helper_->start();
    helper_.reset();
    box_.clear();
    box_.add(SYS_wait4, helper_id_, 0, __WALL, 0);
    box_.start();
    busy_ = true;
    return {};
  }

  Status collect_helper() {
    CK_TRY(box_.finish());
    busy_ = false;
    return box_.expect_all("collect the helper that made the copy");
  }

  FrozenProcess& process_;
  Twin::Parent parent_;
  std::uint64_t sharing_;
  unsigned slot_;
  std::vector<Advice> advice_;
  Mailbox box_;
  bool busy_ = false;  // box_ has been told to do something
  pid_t helper_id_ = 0;
  std::optional<Mailbox> helper_;
  std::optional<Mailbox> twin_box_;
  std::unique_ptr<Twin> twin_;
  bool done_ = false;
};

std::vector<Result<std::unique_ptr<Twin>>> Twin::fork(const std::vector<Wanted>& wanted) {
  std::deque<TwinFork> forks;
  std::vector<Status> outcomes(wanted.size());
  for (const Wanted& one : wanted) forks.emplace_back(one);
  for (int step = 0; step < TwinFork::kSteps; ++step)
    for (std::size_t i = 0; i < forks.size(); ++i)
      if (outcomes[i].ok()) outcomes[i] = forks[i].step(step);
  std::vector<Result<std::unique_ptr<Twin>>> twins;
  for (std::size_t i = 0; i < forks.size(); ++i) {
    if (outcomes[i].ok())
      twins.emplace_back(forks[i].take());
    else
      twins.emplace_back(outcomes[i].error());
  }
  return twins;
}

bool Twin::alive() const {
  return proc::is_alive(pid_);
}

Twin::~Twin() {
  if (!pid_ || ::kill(pid_.value, SIGKILL) != 0) return;
  // Our child where we are the program's parent; else its parent there collects it. One that is
  // kept from dying (a frozen control group) is an orphan like others, for the supervisor.
  const auto give_up = std::chrono::steady_clock::now() + kDeathTime;
  while (::waitpid(pid_.value, nullptr, __WALL | WNOHANG) == 0 &&
         std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::microseconds(50));
}

}  // namespace ck::capture
