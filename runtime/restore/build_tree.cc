#include "runtime/restore/build_tree.h"

#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/proc/pidfd.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/restore/id_patience.h"

namespace ck::restore {

using Kind = TreeStep::Kind;
using proc::Mailbox;
using std::chrono::steady_clock;

namespace {

constexpr std::chrono::seconds kEndTime{10};
constexpr std::chrono::microseconds kBetweenLooks{100};

void await_end(const proc::PidFd& process, steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
  pollfd ended{process.get(), POLLIN, 0};
  if (left.count() > 0) (void)::poll(&ended, 1, static_cast<int>(left.count()));
}

}  // namespace

std::size_t Tree::slots(const image::Manifest& manifest) {
  std::size_t count = 0;
  for (const image::ProcessRecord& process : manifest.processes())
    count += static_cast<std::size_t>(process.threads_size()) + 1;  // one helper at most for each
  return count + 2 * static_cast<std::size_t>(manifest.ended_size());
}

Tree::Tree(const image::Manifest& manifest, TreePlan plan, const ControlArea& area,
           const Mailbox& root, bool same_ids)
    : manifest_(manifest),
      plan_(std::move(plan)),
      area_(area),
      area_address_(root.area_address()),
      same_ids_(same_ids) {
  if (const auto status = proc::read_status(root.pid()); status.ok()) reaper_ = status->ppid;
  unsigned next = root.slot_index();
  for (const image::ProcessRecord& process : manifest.processes()) {
    first_slots_.push_back(next);
    next += static_cast<unsigned>(process.threads_size());
  }
  for (const TreeNode& node : plan_.nodes) {
    const bool leads = node.process >= 0;
    live_.push_back({RealPid(), node.pid, leads ? first_slot(node.process) : next});
    next += leads ? 0 : 1;
  }
  live_[0].pid = root.pid();
}

// Children first: what has no parent in the job any more would be left to the supervisor.
Tree::~Tree() {
  if (released_) return;
  std::vector<proc::PidFd> killed;
  for (std::size_t i = live_.size(); i-- > 1;) {
    if (!live_[i].pid) continue;
    Result<proc::PidFd> process = proc::PidFd::open(live_[i].pid);
    ::kill(live_[i].pid.value, SIGKILL);
    if (process.ok()) killed.push_back(*std::move(process));
  }
  const auto deadline = steady_clock::now() + kEndTime;
  for (const proc::PidFd& process : killed) {
    await_end(process, deadline);
    ::waitpid(process.pid().value, nullptr, __WALL | WNOHANG);
  }
}

Mailbox Tree::box_of(std::size_t node) const {
  return Mailbox(area_, live_[node].slot, area_address_, live_[node].pid);
}

Mailbox Tree::box(int process) const {
  return box_of(static_cast<std::size_t>(process));  // the plan's first nodes are the processes
}

Status Tree::build(Hooks hooks) {
  hooks_ = std::move(hooks);
  memory_of_.assign(plan_.nodes.size(), -1);
  for (const TreeStep& step : plan_.steps)
    if (Status done = carry_out(step); !done.ok())
      return std::move(done).error().within("process " +
                                            std::to_string(plan_.nodes[step.actor].pid));
  return {};
}

Status Tree::carry_out(const TreeStep& step) {
  Mailbox box = box_of(step.actor);
  switch (step.kind) {
    case Kind::kClone:
    case Kind::kCloneBeside:
      CK_TRY(prepare(step));
      return start(step);
    case Kind::kSetSession:
      CK_TRY(box.call("begin a session", SYS_setsid));
      return {};
    case Kind::kSetGroup:
      CK_TRY(box.call("join process group " + std::to_string(step.group), SYS_setpgid, 0,
                      area_.real_id(step.group)));
      return {};
    case Kind::kControl:
      return hooks_.take_terminal(box, plan_.nodes[step.actor].process);
    case Kind::kReaper:
    case Kind::kNoReaper:
      CK_TRY(box.call("inherit orphans", SYS_prctl, PR_SET_CHILD_SUBREAPER,
                      step.kind == Kind::kReaper ? 1 : 0, 0, 0, 0));
      return {};
    case Kind::kEnd:
    case Kind::kEndBeside:
      return end_helper(step);
  }
  return {};
}

Status Tree::prepare(const TreeStep& step) {
  const int starter = plan_.nodes[step.actor].process;
  const int process = plan_.nodes[step.node].process;
  if (starter >= 0 && process >= 0) CK_TRY(hooks_.before_start(starter, process));
  memory_of_[step.node] = memory_of_[step.actor];
  return {};
}

Status Tree::start(const TreeStep& step) {
  const TreeNode& node = plan_.nodes[step.node];
  Live& live = live_[step.node];
  abi::ThreadSlot& slot = *area_.slot(live.slot);
  slot.state = abi::kArriving;
  slot.self_released = 0;
  slot.orphan_exits = 1;
  Mailbox parent = box_of(step.actor);
  const bool beside = step.kind == Kind::kCloneBeside;
  clone_args args{};
  args.flags = beside ? CLONE_PARENT : 0;  // which takes the exit signal from the actor
  args.exit_signal = beside ? 0 : static_cast<std::uint64_t>(std::max(node.exit_signal, 0));
  args.stack = parent.slot_address(live.slot) + offsetof(abi::ThreadSlot, stack);
  args.stack_size = abi::kStackBytes;
  const pid_t wanted = area_.has_virtual_ids() ? 0 : node.pid;
  const IdPatience patience(wanted);
  Result<pid_t> made = parent.clone(args, live.slot, wanted);
  while (!made.ok() && patience.again(made.error().errnum))
    made = parent.clone(args, live.slot, wanted);
  if (!made.ok())
    return std::move(made)
        .error()
        .within("start process " + std::to_string(node.pid))
        .with_hint("its id is in use; try --pids namespace");
  live.inner = *made;
  if (area_.has_virtual_ids()) CK_TRY(proc::bind_id(area_, node.pid, RealPid(live.inner)));
  live.pid = same_ids_ ? RealPid(*made)
                       : proc::find_child(beside ? reaper_ : live_[step.actor].pid, *made);
  if (!live.pid)
    return make_error(ErrorKind::kTryAgain,
                      "process " + std::to_string(node.pid) + " ended during the restart");
  return box_of(step.node).wait_parked();
}

Status Tree::end_helper(const TreeStep& step) {
  Live& helper = live_[step.node];
  Mailbox box = box_of(step.node);
  box.clear();
  box.add(SYS_exit_group, 0);
  box.start();
  if (step.kind == Kind::kEnd) {
    Mailbox parent = box_of(step.actor);
    CK_TRY(parent.call("collect a helper process", SYS_wait4, helper.inner, 0, __WALL, 0));
  } else if (reaper_ == RealPid(::getpid())) {
    ::waitpid(helper.pid.value, nullptr, __WALL);
  }
  helper.pid = RealPid();
  return {};
}

Status Tree::end_ended() {
  for (std::size_t i = 0; i < plan_.nodes.size(); ++i)
    if (plan_.nodes[i].ended >= 0) CK_TRY(end_as(i, manifest_.ended(plan_.nodes[i].ended)));
  return {};
}

// Whether it left a core cannot be said again without leaving one.
Status Tree::end_as(std::size_t node, const image::EndedRecord& record) {
  const RealPid pid = live_[node].pid;
  Mailbox box = box_of(node);
  box.clear();
  box.add(SYS_prctl, PR_SET_NAME, box.put_string(record.name()));
  const int status = record.wait_status();
  if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
    const rlimit64 no_core{0, 0};
    (void)::prlimit64(pid.value, RLIMIT_CORE, &no_core, nullptr);
    const Mailbox::Address none = box.put_value<std::uint64_t>(0);
    box.add(SYS_kill, area_.real_id(record.pid()), WTERMSIG(status));
    box.add(SYS_rt_sigprocmask, SIG_SETMASK, none, 0, 8);
  }
  box.add(SYS_exit_group, WEXITSTATUS(status));
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
    ::kill(pid.value, SIGKILL);
  else
    box.start();
  const auto deadline = steady_clock::now() + kEndTime;
  for (;;) {
    const Result<proc::ProcessStatus> now = proc::read_status(pid);
    if (!now.ok() || now->state == 'Z') return {};
    if (steady_clock::now() >= deadline)
      return make_error(ErrorKind::kTryAgain,
                        "process " + std::to_string(record.pid()) + " does not end");
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

}  // namespace ck::restore
