#include "runtime/resources/capture.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/resources/locks.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/table.h"
#include "runtime/resources/terminals.h"

namespace ck::resources {
namespace {

std::string link_text(const OpenFile& file) {
  if (file.process == OpenFile::kNobody) return "a descriptor on its way -> " + file.entry.target;
  return "fd " + std::to_string(file.entry.fd) + " -> " + file.entry.target;
}

Error about(Error error, const CaptureSession& session, const OpenFile& file) {
  error = std::move(error).within(link_text(file));
  if (session.processes.size() == 1 || file.process == OpenFile::kNobody) return error;
  return std::move(error).within("process " + to_string(file.pid));
}

// Whether somebody gets SIGIO for it, as seen from here; pids are asked inside, see below.
bool has_owner(const OpenFile& file) {
  f_owner_ex owner{};
  return ::fcntl(file.duplicate.get(), F_GETOWN_EX, &owner) == 0 && owner.pid != 0;
}

// What only a process with a descriptor of the file could be asked for, or be given again.
Status refuse_in_flight(const OpenFile& file) {
  if (file.process != OpenFile::kNobody || (file.entry.info.locks.empty() && !has_owner(file)))
    return {};
  return make_error(ErrorKind::kRefused, "it has a lock or an owner, and no process has it",
                    "try again when the program has received it");
}

Status capture_file(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  const Kind* kind = find_kind(session, file);
  if (kind == nullptr) return about(refusal(file), session, file);
  if (Status status = refuse_in_flight(file); !status.ok())
    return about(std::move(status).error(), session, file);
  record.set_kind(kind->name);
  Status status = kind->capture(session, file, record);
  if (!status.ok()) return about(std::move(status).error(), session, file);
  return {};
}

image::OpenFileRecord common_record(const OpenFile& file) {
  image::OpenFileRecord record;
  record.set_flags(file.entry.info.flags & ~unsigned{O_CLOEXEC});
  record.set_position(file.entry.info.position);
  record.set_name(file.entry.target);
  record.set_same_as_fd(static_cast<unsigned>(file.entry.fd));
  return record;
}

// Who gets SIGIO: asked in a process that has the file, where pids are those that the program
// knows.
Status capture_owner(const CaptureSession& session, const OpenFile& file,
                     image::OpenFileRecord& record) {
  proc::Mailbox& box = *session.processes[file.process].mailbox;
  auto address = box.reserve(sizeof(f_owner_ex));
  auto asked = box.add(SYS_fcntl, file.entry.fd, F_GETOWN_EX, address);
  CK_TRY(box.run());
  if (box.result(asked) >= 0) {
    auto owner = box.value_at<f_owner_ex>(address);
    record.set_owner_type(owner.pid != 0 ? owner.type : 0);
    record.set_owner(box.area().virtual_id(owner.pid));
  }
  box.clear();
  return {};
}

Status capture_owners(const CaptureSession& session, image::Manifest& manifest) {
  for (const OpenFile& file : session.files) {
    int signal = ::fcntl(file.duplicate.get(), F_GETSIG);
    if (signal < 0) continue;  // O_PATH
    image::OpenFileRecord& record = *manifest.mutable_open_files(static_cast<int>(file.index) - 1);
    record.set_io_signal(signal);
    if (file.process != OpenFile::kNobody && has_owner(file))
      CK_TRY(capture_owner(session, file, record));
  }
  return {};
}

void add_descriptors(const CaptureSession& session) {
  for (std::size_t process = 0; process < session.processes.size(); ++process) {
    for (const CaptureSession::Descriptor& descriptor : session.descriptors[process]) {
      image::DescriptorRecord& record = *session.processes[process].record->add_descriptors();
      record.set_fd(descriptor.fd);
      record.set_open_file(session.files[descriptor.file].index);
      record.set_close_on_exec(descriptor.close_on_exec);
    }
  }
}

}  // namespace

Status capture_descriptors(std::span<const CaptureProcess> processes, image::Manifest& manifest,
                           memory::ObjectTable& objects, const CaptureOptions& options) {
  CaptureSession session(processes, objects, false, options);
  CK_TRY(session.collect(static_cast<std::uint32_t>(manifest.open_files_size())));
  CK_TRY(collect_unread(session));
  CK_TRY(name_terminals(session, manifest, options.own));
  for (const OpenFile& file : session.files) *manifest.add_open_files() = common_record(file);
  add_descriptors(session);
  CK_TRY(capture_owners(session, manifest));
  for (OpenFile& file : session.files) {
    CK_TRY(capture_file(session, file,
                        *manifest.mutable_open_files(static_cast<int>(file.index) - 1)));
  }
  capture_locks(session);
  return capture_terminals(session, manifest, options.own);
}

Result<std::vector<Objection>> classify(std::span<const RealPid> pids) {
  std::vector<CaptureProcess> processes;
  for (RealPid pid : pids) processes.push_back({pid, nullptr, nullptr, {}});
  image::Manifest manifest;
  memory::ObjectTable objects(memory::ObjectTable::Purpose::kSurvey, manifest, "");
  CaptureSession session(processes, objects, true);
  CK_TRY(session.collect(0));
  CK_TRY(name_terminals(session, manifest, nullptr));
  std::vector<Objection> objections;
  for (OpenFile& file : session.files) {
    image::OpenFileRecord record = common_record(file);
    const Kind* kind = find_kind(session, file);
    Status status = kind != nullptr ? kind->capture(session, file, record) : Status(refusal(file));
    if (status.ok()) continue;
    const Error& error = status.error();
    objections.push_back({file.pid, link_text(file), error.message, error.hint, true});
  }
  for (Objection& note : session.notes) objections.push_back(std::move(note));
  return objections;
}

}  // namespace ck::resources
