// Sets of semaphores: semget(2).
#include <sys/sem.h>

#include "runtime/resources/system_v_kinds.h"

namespace ck::resources::system_v {
Result<std::vector<std::int64_t>> ask_each(proc::Mailbox& box, int id, std::uint64_t count,
                                           int command) {
  std::vector<std::int64_t> answers;
  for (std::uint64_t first = 0; first < count; first += abi::kMaxCalls) {
    std::vector<proc::Mailbox::CallRef> asked;
    box.clear();
    for (std::uint64_t i = first; i < count && i < first + abi::kMaxCalls; ++i)
      asked.push_back(box.add(SYS_semctl, id, i, command, 0));
    CK_TRY(box.run());
    CK_TRY(box.expect_all("examine a System V semaphore"));
    for (auto call : asked) answers.push_back(box.result(call));
  }
  box.clear();
  return answers;
}

namespace {

union Argument {
  int value;
  semid_ds* description;
};

}  // namespace

Result<bool> capture_semaphores(const Job& job, int highest, SystemVState& state) {
  bool alone = true;
  for (const auto& [id, found] : CK_TRY(list<semid_ds>(job, kSemaphores, highest))) {
    const auto last_users = CK_TRY(ask_each(job.box(), id, found.sem_nsems, GETPID));
    std::vector<Job::User> users;
    for (std::int64_t pid : last_users) {
      if (pid != 0) users.push_back({static_cast<pid_t>(pid), true});
    }
    if (users.empty()) users.push_back({0, found.sem_otime != 0});
    const bool ours = CK_TRY(job.owns(found.sem_perm, found.sem_ctime, users));
    alone = alone && ours && CK_TRY(job.is_alone(users));
    if (!ours) continue;
    SystemVState::Semaphores& semaphores = *state.add_semaphores();
    fill_owner(job, kSemaphores, id, found.sem_perm, *semaphores.mutable_owner());
    for (std::int64_t value : CK_TRY(ask_each(job.box(), id, found.sem_nsems, GETVAL)))
      semaphores.add_values(static_cast<std::uint32_t>(value));
    for (std::int64_t pid : last_users)
      semaphores.add_last_users(job.known(static_cast<pid_t>(pid)));
  }
  return alone;
}

Standing standing(const SystemVState::Semaphores& semaphores, const std::set<pid_t>& own) {
  const int id = kernels_id(semaphores.owner());
  semid_ds found{};
  if (::semctl(id, 0, IPC_STAT, Argument{.description = &found}) != 0)
    return errno == EINVAL || errno == EIDRM ? Standing::kGone : Standing::kOther;
  const int count = semaphores.values_size();
  if (!is_same(found.sem_perm, semaphores.owner()) ||
      found.sem_nsems != static_cast<unsigned long>(count))
    return Standing::kOther;
  for (int i = 0; i < count; ++i) {
    if (::semctl(id, i, GETNCNT) > 0 || ::semctl(id, i, GETZCNT) > 0 ||
        lives_outside(::semctl(id, i, GETPID), own))
      return Standing::kInUse;
  }
  return Standing::kSame;
}

// Each value is set by the process that is to be its last user.
Status restore(const Maker& maker, SystemVState::Semaphores& semaphores, bool there) {
  SystemVState::Owner& owner = *semaphores.mutable_owner();
  const int count = semaphores.values_size();
  const int mode = static_cast<int>(owner.mode() & 0777) | 0600;
  if (!there)
    CK_TRY(maker.make(maker.box(), kSemaphores, owner, SYS_semget, count,
                      IPC_CREAT | IPC_EXCL | mode));
  for (int i = 0; i < count; ++i) {
    const pid_t user = i < semaphores.last_users_size() ? semaphores.last_users(i) : 0;
    if (!there && user == 0 && semaphores.values(i) == 0) continue;  // nobody has ever used it
    CK_TRY(maker.box(user).call("set " + name_of(kSemaphores, owner), SYS_semctl, kernels_id(owner),
                                i, SETVAL, semaphores.values(i)));
  }
  CK_TRY(restore_adjustments(maker, semaphores));
  return set_owner<semid_ds>(maker.box(), kSemaphores, owner,
                             [](semid_ds& all) -> ipc_perm& { return all.sem_perm; });
}

}  // namespace ck::resources::system_v
