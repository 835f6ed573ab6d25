// What semaphores get back at a process's end (semop(2), SEM_UNDO). The kernel does not show it.
// But a process that leaves its list of adjustments (unshare(2), CLONE_SYSVSEM) gets them applied:
// the difference is seen, and the same operations make the same list again. This is done where
// nobody else can see the values in between: the job is frozen, and alone in using semaphores.
#include <sched.h>
#include <sys/sem.h>

#include <map>

#include "runtime/resources/system_v_kinds.h"

namespace ck::resources::system_v {
namespace {

using Values = std::vector<std::vector<std::int64_t>>;  // by set

Status operate(proc::Mailbox& box, int id, std::span<const sembuf> operations) {
  box.clear();
  const auto address = box.put(std::as_bytes(operations));
  CK_TRY(box.call("put back the adjustment of System V semaphore set " + std::to_string(id),
                  SYS_semop, id, address, operations.size()));
  return {};
}

sembuf operation(std::size_t number, std::int64_t by, short flags) {
  return {static_cast<unsigned short>(number), static_cast<short>(by),
          static_cast<short>(flags | IPC_NOWAIT)};
}

Result<Values> read_values(proc::Mailbox& box, const SystemVState& state) {
  Values values;
  for (const SystemVState::Semaphores& set : state.semaphores())
    values.push_back(CK_TRY(ask_each(box, kernels_id(set.owner()),
                                     static_cast<std::uint64_t>(set.values_size()), GETVAL)));
  return values;
}

Result<bool> anybody_waits(const Job& job, const SystemVState& state) {
  for (const SystemVState::Semaphores& set : state.semaphores()) {
    for (int command : {GETNCNT, GETZCNT}) {
      for (std::int64_t waiters :
           CK_TRY(ask_each(job.box(), kernels_id(set.owner()),
                           static_cast<std::uint64_t>(set.values_size()), command)))
        if (waiters != 0) return true;
    }
  }
  return false;
}

// Taking the adjustments has made the process the last user.
Status mark_last_user(const Job& job, const SystemVState::Semaphores& set, std::size_t number) {
  const pid_t user = set.last_users(static_cast<int>(number));
  for (const CaptureProcess& process : job.processes()) {
    if (user == 0 || process.record->pid() != user) continue;
    const sembuf nothing[] = {operation(number, 1, 0), operation(number, -1, 0)};
    return operate(*process.mailbox, kernels_id(set.owner()), nothing);
  }
  return {};
}

Status take_adjustments(const Job& job, const CaptureProcess& process, const Values& before,
                        SystemVState& state) {
  CK_TRY(
      process.mailbox->call("leave the list of semaphore adjustments", SYS_unshare, CLONE_SYSVSEM));
  const Values after = CK_TRY(read_values(*process.mailbox, state));
  for (std::size_t i = 0; i < after.size(); ++i) {
    SystemVState::Semaphores& set = *state.mutable_semaphores(static_cast<int>(i));
    for (std::size_t number = 0; number < after[i].size(); ++number) {
      const std::int64_t by = after[i][number] - before[i][number];
      if (by == 0) continue;
      const sembuf redo = operation(number, -by, SEM_UNDO);
      CK_TRY(operate(*process.mailbox, kernels_id(set.owner()), std::span(&redo, 1)));
      CK_TRY(mark_last_user(job, set, number));
      SystemVState::Semaphores::Adjustment& adjustment = *set.add_adjustments();
      adjustment.set_pid(process.record->pid());
      adjustment.set_number(static_cast<std::uint32_t>(number));
      adjustment.set_by(static_cast<int>(by));
    }
  }
  return {};
}

}  // namespace

// Threads share a list, and could not share it again. Of an adjustment that would make a value
// negative only what leads to 0 is seen.
Status capture_adjustments(const Job& job, SystemVState& state) {
  if (state.semaphores_size() == 0 || CK_TRY(anybody_waits(job, state))) return {};
  const Values before = CK_TRY(read_values(job.box(), state));
  for (const CaptureProcess& process : job.processes())
    if (process.record->threads_size() == 1) CK_TRY(take_adjustments(job, process, before, state));
  return {};
}

// From a value high enough for all of them, and then to the right one.
Status restore_adjustments(const Maker& maker, const SystemVState::Semaphores& set) {
  std::map<std::uint32_t, std::int64_t> sums;
  const int id = kernels_id(set.owner());
  for (const auto& adjustment : set.adjustments()) {
    if (adjustment.number() >= static_cast<std::uint32_t>(set.last_users_size()))
      return make_error(ErrorKind::kBadImage, "a semaphore's adjustment is damaged");
    if (adjustment.by() < 0) continue;
    const sembuf more = operation(adjustment.number(), adjustment.by(), 0);
    CK_TRY(operate(maker.box(), id, std::span(&more, 1)));
  }
  for (const auto& adjustment : set.adjustments()) {
    const sembuf undone = operation(adjustment.number(), -adjustment.by(), SEM_UNDO);
    CK_TRY(operate(maker.box(adjustment.pid()), id, std::span(&undone, 1)));
    if (adjustment.by() < 0) sums[adjustment.number()] += adjustment.by();
  }
  for (auto [number, by] : sums) {
    const sembuf less = operation(number, by, 0);
    CK_TRY(operate(maker.box(), id, std::span(&less, 1)));
  }
  for (const auto& adjustment : set.adjustments()) {
    const pid_t user = set.last_users(static_cast<int>(adjustment.number()));
    const sembuf nothing[] = {operation(adjustment.number(), 1, 0),
                              operation(adjustment.number(), -1, 0)};
    CK_TRY(operate(maker.box(user), id, nothing));
  }
  return {};
}

}  // namespace ck::resources::system_v
