#include "runtime/resources/restore.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include <set>
#include <vector>

#include "runtime/resources/standard_stream.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr std::uint32_t kChangeable = O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK;

std::string file_text(const image::OpenFileRecord& record) {
  return "fd " + std::to_string(record.same_as_fd()) + " -> " + record.name();
}

const auto& descriptors_of(const RestoreSession& session) {
  return session.context.processes[session.process].record->descriptors();
}

const image::OpenFileRecord& record_of(const RestoreSession& session, std::uint32_t open_file) {
  return session.manifest.open_files(static_cast<int>(open_file) - 1);
}

// What to say of a process where there are several.
Error in_process(const RestoreSession& session, Error error) {
  if (session.context.processes.size() == 1) return error;
  return std::move(error).within(
      "process " + std::to_string(session.context.processes[session.process].record->pid()));
}

Result<Holder> make(RestoreSession& session, const image::OpenFileRecord& record) {
  const Kind* kind = kind_named(record.kind());
  if (kind == nullptr) {
    return make_error(ErrorKind::kBadImage,
                      "the image has an open file of unknown kind '" + record.kind() + "'",
                      "it was written by a newer ckrun");
  }
  Restored made = CK_TRY(kind->restore(session, record));
  int number = made.ours ? CK_TRY(session.give(std::move(made.ours))) : made.theirs;
  return Holder{made.elsewhere.value_or(session.process), number};
}

Status make_one(RestoreSession& session, std::uint32_t index) {
  if (session.made.contains(index)) return {};
  const image::OpenFileRecord& record = record_of(session, index);
  Result<Holder> place = make(session, record);
  if (!place.ok()) return std::move(place).error().within(file_text(record));
  session.add_made(index, *place);
  return {};
}

Status make_all(RestoreSession& session) {
  for (const image::DescriptorRecord& descriptor : descriptors_of(session))
    CK_TRY(make_one(session, descriptor.open_file()));
  return {};
}

// What no process has a descriptor of is on its way in a socket: the first one makes it.
Status make_in_flight(RestoreSession& session) {
  for (int i = 1; i <= session.manifest.open_files_size(); ++i)
    CK_TRY(make_one(session, static_cast<std::uint32_t>(i)));
  for (const auto& step : session.later) CK_TRY(step());
  return {};
}

// What others have made: all of it in a few messages.
Status bring_rest(RestoreSession& session) {
  std::vector<std::uint32_t> wanted;
  for (const image::DescriptorRecord& descriptor : descriptors_of(session))
    wanted.push_back(descriptor.open_file());
  return session.bring(wanted);
}

Status connect_all(RestoreSession& session) {
  for (auto [index, place] : session.made) {
    const image::OpenFileRecord& record = record_of(session, index);
    const Kind* kind = kind_named(record.kind());
    if (kind->connect == nullptr) continue;
    RestoreSession::Visit visit(session, place.process);
    Status status = kind->connect(session, record, place.fd);
    if (!status.ok()) return std::move(status).error().within(file_text(record));
  }
  return {};
}

// The group that the job was started in need not have its number: its members are asked.
Result<pid_t> group_now(const RestoreSession& session, pid_t group) {
  for (const RestoreProcess& process : session.context.processes) {
    if (process.record->pgid() != group) continue;
    return static_cast<pid_t>(
        CK_TRY(process.mailbox->call("ask for the process group", SYS_getpgid, 0)));
  }
  return session.box().area().real_id(group);
}

// Who gets SIGIO, and as which signal.
Status set_owner(RestoreSession& session, const image::OpenFileRecord& record, int fd) {
  proc::Mailbox& box = session.box();
  if (record.owner() != 0) {
    f_owner_ex owner{};
    owner.type = static_cast<decltype(owner.type)>(record.owner_type());
    owner.pid = owner.type == F_OWNER_PGRP ? CK_TRY(group_now(session, record.owner()))
                                           : box.area().real_id(record.owner());
    auto address = box.put_value(owner);
    const std::string what = "set the owner of " + file_text(record);
    auto set = box.call(what, SYS_fcntl, fd, F_SETOWN_EX, address);
    if (!set.ok() && set.error().errnum != ESRCH) return std::move(set).error();
    if (!set.ok())
      session.warn(what + ": " + std::to_string(record.owner()) +
                   " is not there, so nobody gets its signals");
  }
  if (record.io_signal() != 0) {
    CK_TRY(box.call("set the signal of " + file_text(record), SYS_fcntl, fd, F_SETSIG,
                    record.io_signal()));
  }
  return {};
}

Status set_owners(RestoreSession& session) {
  for (auto [index, place] : session.made) {
    RestoreSession::Visit visit(session, place.process);
    CK_TRY(set_owner(session, record_of(session, index), place.fd));
  }
  return {};
}

// Every descriptor of the image gets its number; nothing that restore made is below base.
Status place_all(RestoreSession& session) {
  proc::Mailbox& box = session.box();
  box.clear();
  for (const image::DescriptorRecord& descriptor : descriptors_of(session)) {
    if (box.calls_left() == 0) {
      CK_TRY(box.run());
      CK_TRY(box.expect_all("number the descriptors"));
      box.clear();
    }
    const int own =
        stream_of_its_own(session, descriptor, record_of(session, descriptor.open_file()));
    box.add(SYS_dup3, own >= 0 ? own : session.at_hand().at(descriptor.open_file()),
            descriptor.fd(), descriptor.close_on_exec() ? O_CLOEXEC : 0);
  }
  CK_TRY(box.run());
  CK_TRY(box.expect_all("number the descriptors"));
  box.clear();
  return {};
}

// Last, for it starts the signals, and under the final number: the kernel puts the number that
// O_ASYNC was set under into siginfo's si_fd (fcntl(2), F_SETSIG).
Status start_signals(RestoreSession& session, std::set<std::uint32_t>& started) {
  for (const image::DescriptorRecord& descriptor : descriptors_of(session)) {
    const image::OpenFileRecord& record = record_of(session, descriptor.open_file());
    if ((record.flags() & O_ASYNC) == 0) continue;
    if (!started.insert(descriptor.open_file()).second) continue;
    CK_TRY(session.box().call("start the signals of " + file_text(record), SYS_fcntl,
                              descriptor.fd(), F_SETFL, record.flags() & (kChangeable | O_ASYNC)));
  }
  return {};
}

Status close_made(RestoreSession& session) {
  proc::Mailbox& box = session.box();
  for (auto [index, fd] : session.at_hand()) {
    if (box.calls_left() == 0) {
      CK_TRY(box.run());
      box.clear();
    }
    box.add(SYS_close, fd);
  }
  CK_TRY(box.run());
  box.clear();
  return {};
}

template <typename Step>
Status in_each(RestoreSession& session, Step step) {
  for (std::size_t process = 0; process < session.context.processes.size(); ++process) {
    RestoreSession::Visit visit(session, process);
    Status status = step(session);
    if (!status.ok()) return in_process(session, std::move(status).error());
  }
  return {};
}

}  // namespace

Status restore_descriptors(const RestoreContext& context, const image::Manifest& manifest) {
  for (const RestoreProcess& process : context.processes) {
    for (const image::DescriptorRecord& descriptor : process.record->descriptors())
      CK_CHECK(descriptor.fd() < context.base);
  }
  RestoreSession session(context, manifest);
  CK_TRY(session.find_streams());
  CK_TRY(in_each(session, make_all));
  CK_TRY(make_in_flight(session));
  for (auto [place, flags] : session.later_flags) {
    RestoreSession::Visit visit(session, place.process);
    CK_TRY(session.set_flags(place.fd, flags));
  }
  CK_TRY(connect_all(session));
  CK_TRY(set_owners(session));
  CK_TRY(in_each(session, bring_rest));
  CK_TRY(in_each(session, place_all));
  std::set<std::uint32_t> started;
  CK_TRY(in_each(session, [&](RestoreSession& each) { return start_signals(each, started); }));
  return in_each(session, close_made);
}

}  // namespace ck::resources
