// Message queues: msgget(2).
#include <sys/msg.h>

#include <algorithm>

#include "runtime/resources/scratch.h"
#include "runtime/resources/system_v_kinds.h"

namespace ck::resources::system_v {
namespace {

constexpr std::size_t kTypeBytes = sizeof(long);

// MSG_COPY leaves the message where it is (Linux 3.8, CONFIG_CHECKPOINT_RESTORE).
Status capture_messages(const Job& job, const msqid_ds& found, SystemVState::Queue& queue) {
  const std::size_t most = found.__msg_cbytes;
  const Scratch scratch = CK_TRY(Scratch::map(job.box(), job.pid(), kTypeBytes + most + 1));
  for (msgqnum_t i = 0; i < found.msg_qnum; ++i) {
    const std::int64_t length = CK_TRY(job.box().call(
        "look at a message of " + name_of(kQueues, queue.owner()), SYS_msgrcv,
        kernels_id(queue.owner()), scratch.address(), most, i, MSG_COPY | IPC_NOWAIT));
    long type = 0;
    std::string text(static_cast<std::size_t>(length), '\0');
    CK_TRY(scratch.read(0, std::as_writable_bytes(std::span(&type, 1))));
    CK_TRY(scratch.read(kTypeBytes, std::as_writable_bytes(std::span(text))));
    SystemVState::Queue::Message& message = *queue.add_messages();
    message.set_type(type);
    message.set_text(std::move(text));
  }
  return {};
}

Status drain(proc::Mailbox& box, int id, std::uint64_t buffer, std::size_t room) {
  for (;;) {
    const auto taken = box.add(SYS_msgrcv, id, buffer, room, 0, IPC_NOWAIT | MSG_NOERROR);
    CK_TRY(box.run());
    if (box.result(taken) == -ENOMSG) return {};
    CK_TRY(box.expect_all("empty System V message queue " + std::to_string(id)));
  }
}

// So that the kernel remembers the process as the last one to send or receive.
Status touch(proc::Mailbox& box, int id) {
  box.clear();
  const auto message = box.put_value<long>(1);
  box.add(SYS_msgsnd, id, message, 0, IPC_NOWAIT);
  box.add(SYS_msgrcv, id, message, 0, 0, IPC_NOWAIT);
  CK_TRY(box.run());
  CK_TRY(box.expect_all("use System V message queue " + std::to_string(id)));
  box.clear();
  return {};
}

Status send_all(proc::Mailbox& box, const SystemVState::Queue& queue, const Scratch& scratch) {
  for (const SystemVState::Queue::Message& message : queue.messages()) {
    const long type = message.type();
    CK_TRY(scratch.write(0, std::as_bytes(std::span(&type, 1))));
    CK_TRY(scratch.write(kTypeBytes, std::as_bytes(std::span(message.text()))));
    CK_TRY(box.call("put a message into " + name_of(kQueues, queue.owner()), SYS_msgsnd,
                    kernels_id(queue.owner()), scratch.address(), message.text().size(),
                    IPC_NOWAIT));
  }
  return {};
}

std::size_t longest(const SystemVState::Queue& queue) {
  std::size_t most = 0;
  for (const auto& message : queue.messages()) most = std::max(most, message.text().size());
  return most;
}

}  // namespace

Status capture_queues(const Job& job, int highest, SystemVState& state) {
  for (const auto& [id, found] : CK_TRY(list<msqid_ds>(job, kQueues, highest))) {
    const Job::User users[] = {{found.msg_lspid, found.msg_stime != 0},
                               {found.msg_lrpid, found.msg_rtime != 0}};
    if (!CK_TRY(job.owns(found.msg_perm, found.msg_ctime, users))) continue;
    SystemVState::Queue& queue = *state.add_queues();
    fill_owner(job, kQueues, id, found.msg_perm, *queue.mutable_owner());
    queue.set_max_bytes(found.msg_qbytes);
    queue.set_last_sender(job.known(found.msg_lspid));
    queue.set_last_receiver(job.known(found.msg_lrpid));
    CK_TRY(capture_messages(job, found, queue));
  }
  return {};
}

Standing standing(const SystemVState::Queue& queue, const std::set<pid_t>& own) {
  msqid_ds found{};
  if (::msgctl(kernels_id(queue.owner()), IPC_STAT, &found) != 0)
    return errno == EINVAL || errno == EIDRM ? Standing::kGone : Standing::kOther;
  if (!is_same(found.msg_perm, queue.owner())) return Standing::kOther;
  const bool used = lives_outside(found.msg_lspid, own) || lives_outside(found.msg_lrpid, own);
  return used ? Standing::kInUse : Standing::kSame;
}

Status restore(const Maker& maker, SystemVState::Queue& queue, bool there) {
  SystemVState::Owner& owner = *queue.mutable_owner();
  const int mode = static_cast<int>(owner.mode() & 0777) | 0600;
  if (!there)
    CK_TRY(maker.make(maker.box(), kQueues, owner, SYS_msgget, IPC_CREAT | IPC_EXCL | mode));
  proc::Mailbox& sender = maker.box(queue.last_sender());
  const Scratch scratch =
      CK_TRY(Scratch::map(sender, sender.pid(), kTypeBytes + longest(queue) + 1));
  if (there) CK_TRY(drain(sender, kernels_id(owner), scratch.address(), longest(queue)));
  CK_TRY(set_owner<msqid_ds>(maker.box(), kQueues, owner, [&](msqid_ds& all) -> ipc_perm& {
    all.msg_qbytes = queue.max_bytes();
    return all.msg_perm;
  }));
  CK_TRY(touch(maker.box(queue.last_receiver()), kernels_id(owner)));
  return send_all(sender, queue, scratch);
}

}  // namespace ck::resources::system_v
