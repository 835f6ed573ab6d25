#include "runtime/resources/io_uring.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "runtime/proc/maps.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/io_uring_advance.h"
#include "runtime/resources/io_uring_files.h"
#include "runtime/resources/io_uring_idle.h"
#include "runtime/resources/io_uring_mapping.h"
#include "runtime/resources/io_uring_ring.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/scratch.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

// A restart makes as many NOPs: 10 to 15 million a second, a third of that with rings of four.
constexpr std::uint32_t kMostRequests = 1u << 30;
constexpr std::uint32_t kMostEntries = 1u << 16;
constexpr std::uint32_t kMostSlots = 1u << 20;  // the kernel allows 2^15 files, 2^14 buffers
constexpr int kRegisteredRings = 16;            // IO_RINGFD_REG_MAX of the kernel
constexpr std::chrono::seconds kThreadTime{5};  // for a polling thread to work, or to end
constexpr std::uint64_t kBadAddress = 1;        // to ask without an effect
constexpr std::uint32_t kKeptFlags = kLayoutFlags | IORING_SETUP_SQPOLL | IORING_SETUP_IOPOLL |
                                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

bool recognises(const CaptureSession&, const OpenFile& file) {
  return file.entry.target == "anon_inode:[io_uring]";
}

// A ring cannot be handed from process to process (SCM_RIGHTS refuses it since Linux 6.7).
Status refuse_shared(const CaptureSession& session, const OpenFile& file) {
  for (const Holder& holder : file.holders)
    if (holder.process != file.process)
      return make_error(ErrorKind::kRefused,
                        "it is an io_uring that process " +
                            to_string(session.processes[holder.process].pid) + " has too",
                        "close it in one of the processes");
  if (file.process != OpenFile::kNobody) return {};
  return make_error(ErrorKind::kRefused, "it is an io_uring on its way in a socket");
}

std::string_view lines_below(std::string_view text, std::string_view name, std::string_view next) {
  const std::size_t at = text.find(name), end = text.find(next);
  if (at == text.npos || end == text.npos || end < at) return {};
  return text.substr(at, end - at);
}

// "    0: 0x7fffa05d5b80/100", "    1: <none>"
Status capture_buffers(std::string_view text, IoUringState& state) {
  const auto count = proc::TextCursor(proc::fdinfo_field(text, "UserBufs")).number<std::uint32_t>();
  if (count > kMostSlots) return make_error(ErrorKind::kRefused, "it has too many buffers");
  for (std::uint32_t i = 0; i < count; ++i) state.add_buffers();
  std::string_view lines = lines_below(text, "UserBufs:", "PollList:");
  for (std::size_t at; (at = lines.find(": 0x")) != lines.npos;) {
    const std::size_t line = lines.rfind('\n', at) + 1;
    proc::TextCursor number(lines.substr(line));
    number.blanks();
    const auto index = number.number<std::uint32_t>();
    proc::TextCursor buffer(lines.substr(at + 4));
    const auto address = buffer.number<std::uint64_t>(16);
    const std::size_t slash = lines.find('/', at);
    if (index >= count || slash == lines.npos)
      return make_error(ErrorKind::kRefused, "its registered buffers are shown in an unknown form");
    IoUringState::Buffer& out = *state.mutable_buffers(static_cast<int>(index));
    out.set_address(address);
    out.set_length(proc::TextCursor(lines.substr(slash + 1)).number<std::uint32_t>());
    if (address == 0 && out.length() != 0)
      return make_error(ErrorKind::kRefused, "a buffer of the kernel's is registered with it");
    lines.remove_prefix(slash);
  }
  return {};
}

Status refuse_registered(const RingIssuer& issuer) {
  if (CK_TRY(issuer.ask(IORING_REGISTER_EVENTFD, kBadAddress, 1)) == -EBUSY)
    return make_error(ErrorKind::kRefused,
                      "an eventfd is registered with this io_uring, and nobody can ask which");
  if (CK_TRY(issuer.has_buffer_groups()))
    return make_error(ErrorKind::kRefused,
                      "groups of buffers that the kernel chooses from are registered with this "
                      "io_uring, and nobody can ask where they are");
  return {};
}

// What only a kernel tells that knows NAPI (Linux 6.9 and later).
Result<bool> polls_for_completions(const RingIssuer& issuer) {
  static const bool tells = [] {
    const Result<Ring> fresh = Ring::create();
    return fresh.ok() && fresh->ask(kRegisterNapi, kBadAddress, 1) == -EFAULT;
  }();
  if (!tells) return false;
  return CK_TRY(issuer.ask(kRegisterNapi, kBadAddress, 1)) == -EINVAL;
}

// Both parts, at the places that the kernel gives them.
Status check_mappings(const CaptureSession& session, const OpenFile& file) {
  bool rings = false, requests = false;
  for (const proc::Mapping& mapping :
       CK_TRY(proc::read_maps(session.processes[file.process].pid))) {
    if (mapping.inode != file.status.st_ino || mapping.path != file.entry.target) continue;
    if (mapping.offset == IORING_OFF_SQES)
      requests = true;
    else if (mapping.offset == IORING_OFF_SQ_RING || mapping.offset == IORING_OFF_CQ_RING)
      rings = true;
    else
      return make_error(ErrorKind::kRefused,
                        "memory of this io_uring that is none of its rings "
                        "is mapped");
  }
  if (rings && requests) return {};
  return make_error(ErrorKind::kRefused,
                    "the memory of this io_uring is the program's own (IORING_SETUP_NO_MMAP) or "
                    "not mapped");
}

// By what numbers a thread calls it instead of by a descriptor.
std::vector<std::uint32_t> registered_rings(proc::Mailbox& box) {
  constexpr unsigned kByNumber = 1u << 4;  // IORING_ENTER_REGISTERED_RING
  box.clear();
  for (int i = 0; i < kRegisteredRings; ++i) box.add(SYS_io_uring_enter, i, 0, 0, kByNumber, 0, 0);
  std::vector<std::uint32_t> numbers;
  if (box.run().ok())
    for (unsigned i = 0; i < kRegisteredRings; ++i)
      if (box.result(i) != -EBADF && box.result(i) != -EINVAL) numbers.push_back(i);
  box.clear();
  return numbers;
}

Status capture_numbers(const CaptureSession& session, const OpenFile& file,
                       std::vector<proc::Mailbox>& threads, IoUringState& state) {
  const auto rings =
      std::count_if(session.files.begin(), session.files.end(), [&](const OpenFile& other) {
        return other.process == file.process && recognises(session, other);
      });
  for (proc::Mailbox& box : threads) {
    const std::vector<std::uint32_t> numbers = registered_rings(box);
    if (numbers.empty()) continue;
    if (&box != &threads.front() || rings > 1)
      return make_error(ErrorKind::kRefused,
                        "a thread has registered an io_uring (IORING_REGISTER_RING_FDS) that is "
                        "not the only one, or is not the process's first thread");
    for (std::uint32_t number : numbers) state.add_registered_as(number);
  }
  return {};
}

Result<std::uint32_t> find_flags(const Ring& ring, const RingIssuer& issuer, const RingState& now,
                                 bool polls) {
  std::uint32_t flags = polls ? IORING_SETUP_IOPOLL : 0;
  if (now.polling_thread >= 0) flags |= IORING_SETUP_SQPOLL;
  if (!issuer.is_single() || !issuer.is_first_thread()) return flags;
  flags |= IORING_SETUP_SINGLE_ISSUER;
  if (ring.enter(0, IORING_ENTER_GETEVENTS) == -EEXIST) flags |= IORING_SETUP_DEFER_TASKRUN;
  return flags;
}

std::string bytes_of(std::span<const std::byte> part, std::size_t size) {
  return {reinterpret_cast<const char*>(part.data()), size};
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  CK_TRY(refuse_shared(session, file));
  IoUringState state;
  if (session.survey) return capture_ring_files(session, file, file.entry.info.text, state);
  Ring ring = CK_TRY(Ring::open(UniqueFd(::fcntl(file.duplicate.get(), F_DUPFD_CLOEXEC, 0))));
  const CaptureProcess& process = session.processes[file.process];
  std::vector<proc::Mailbox> threads =
      process.all_mailboxes ? process.all_mailboxes() : std::vector{*process.mailbox};
  const RingIssuer issuer = CK_TRY(RingIssuer::find(ring, threads, file.entry.fd));
  const bool polls = CK_TRY(polls_for_completions(issuer));
  const RingState now = CK_TRY(await_idle(ring, issuer, polls));
  if (now.taken > kMostRequests)
    return make_error(ErrorKind::kRefused,
                      "this io_uring has taken " + std::to_string(now.taken) +
                          " requests, and a restart would have to repeat as many",
                      "up to " + std::to_string(kMostRequests) +
                          " are kept; a program that sets its ring up anew begins at 0");
  CK_TRY(check_mappings(session, file));
  const RingLayout layout = CK_TRY(ring.find_layout());
  CK_TRY(ring.map(layout));
  CK_TRY(check_history(ring, layout));
  CK_TRY(capture_buffers(now.text, state));
  CK_TRY(capture_ring_files(session, file, now.text, state));
  CK_TRY(capture_numbers(session, file, threads, state));
  CK_TRY(refuse_registered(issuer));
  state.set_id(file.status.st_ino);
  state.set_flags(layout.flags | CK_TRY(find_flags(ring, issuer, now, polls)));
  state.set_submission_entries(layout.submission_entries);
  state.set_completion_entries(layout.completion_entries);
  state.set_submitted(now.taken);
  state.set_completed(now.completed);
  state.set_rings(bytes_of(ring.rings(), layout.rings_size()));
  state.set_requests(bytes_of(ring.requests(), layout.requests_size()));
  state.set_layout(layout.offsets());
  record.set_state(state.SerializeAsString());
  return {};
}

Result<std::int64_t> set_up_there(proc::Mailbox& box, const IoUringState& state) {
  io_uring_params params{};
  params.flags = (state.flags() & kKeptFlags) | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
  if (params.flags & IORING_SETUP_DEFER_TASKRUN) params.flags |= IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = state.completion_entries();
  const auto address = box.put_value(params);
  return box.call("set up an io_uring", SYS_io_uring_setup, state.submission_entries(), address);
}

// Polling threads in the process whose id a thread of the job is still to get.
std::size_t stolen_ids(const RestoreSession& session) {
  const RealPid pid = session.box().pid();
  const Result<std::vector<RealPid>> threads = proc::read_threads(pid);
  if (!threads.ok() || session.box().area().has_virtual_ids()) return 0;
  const auto is_wanted = [&](pid_t id) {
    for (const image::ProcessRecord& process : session.manifest.processes())
      for (const image::ThreadRecord& thread : process.threads())
        if (thread.tid() == id) return true;
    return false;
  };
  return static_cast<std::size_t>(std::count_if(threads->begin(), threads->end(), [&](RealPid tid) {
    if (!proc::is_kernels_own(pid, tid)) return false;
    const Result<proc::ProcessStatus> status = proc::read_status(tid);
    return status.ok() && !status->ns_pid.empty() && is_wanted(status->ns_pid.back());
  }));
}

// The kernel takes any free id for a polling thread. One that took a wrong one is kept until
// another has taken a right one.
Result<std::int64_t> set_up_beside(RestoreSession& session, const IoUringState& state) {
  constexpr std::size_t kTries = 32;
  std::vector<std::int64_t> wrong;
  std::int64_t fd = -1;
  for (;;) {
    fd = CK_TRY(set_up_there(session.box(), state));
    if (stolen_ids(session) <= wrong.size() || wrong.size() == kTries) break;
    wrong.push_back(fd);
  }
  for (std::int64_t other : wrong)
    CK_TRY(session.box().call("close an io_uring", SYS_close, other));
  const auto give_up = std::chrono::steady_clock::now() + kThreadTime;
  while (stolen_ids(session) != 0 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return fd;
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<IoUringState>(record));
  const auto fd = CK_TRY(state.flags() & IORING_SETUP_SQPOLL ? set_up_beside(session, state)
                                                             : set_up_there(session.box(), state));
  const int place = CK_TRY(session.move_up(static_cast<int>(fd)));
  CK_TRY(session.set_flags(place, record.flags()));
  return Restored::in_process(place);
}

Result<IoUringState> checked_state(const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<IoUringState>(record));
  const auto is_size = [](std::uint32_t n) {
    return n != 0 && n <= kMostEntries && !(n & (n - 1));
  };
  if (is_size(state.submission_entries()) && is_size(state.completion_entries()) &&
      state.submission_entries() <= state.completion_entries() &&
      state.submitted() <= kMostRequests && state.completed() <= state.submitted() &&
      state.file_slots() <= kMostSlots && (state.flags() & ~kKeptFlags) == 0)
    return state;
  return make_error(ErrorKind::kBadImage, "the image has an impossible io_uring");
}

// The program has the offsets in its memory.
Result<RingLayout> same_layout(const IoUringState& state) {
  RingLayout layout = CK_TRY(RingLayout::of(
      state.flags() & kLayoutFlags, state.submission_entries(), state.completion_entries()));
  if (layout.offsets() == state.layout() && layout.rings_size() == state.rings().size() &&
      layout.requests_size() == state.requests().size())
    return layout;
  return make_error(ErrorKind::kRefused, "this kernel lays the memory of an io_uring out otherwise",
                    "restart on a host whose kernel is like that of the checkpoint");
}

Status register_list(RestoreSession& session, const char* what, int fd, unsigned operation,
                     std::span<const std::byte> list, unsigned count) {
  proc::Mailbox& box = session.box();
  Scratch scratch = CK_TRY(Scratch::map(box, box.pid(), list.size()));
  CK_TRY(scratch.write(0, list));
  CK_TRY(box.call(what, SYS_io_uring_register, fd, operation, scratch.address(), count));
  return {};
}

Status register_all(RestoreSession& session, const IoUringState& state, int fd) {
  if (state.buffers_size() != 0) {
    std::vector<iovec> buffers;
    for (const IoUringState::Buffer& buffer : state.buffers())
      buffers.push_back({reinterpret_cast<void*>(buffer.address()), buffer.length()});
    CK_TRY(register_list(session, "register buffers with an io_uring", fd, IORING_REGISTER_BUFFERS,
                         std::as_bytes(std::span(buffers)), static_cast<unsigned>(buffers.size())));
  }
  if (state.file_slots() != 0) {
    const std::vector<std::int32_t> files = CK_TRY(bring_ring_files(session, state));
    CK_TRY(register_list(session, "register files with an io_uring", fd, IORING_REGISTER_FILES,
                         std::as_bytes(std::span(files)), state.file_slots()));
  }
  for (std::uint32_t number : state.registered_as()) {
    const io_uring_rsrc_update update{number, 0, static_cast<std::uint64_t>(fd)};
    const auto address = session.box().put_value(update);
    CK_TRY(session.box().call("register an io_uring with a thread", SYS_io_uring_register, fd,
                              IORING_REGISTER_RING_FDS, address, 1));
  }
  return {};
}

std::uint32_t index_of(const image::Manifest& manifest, const image::OpenFileRecord& record) {
  for (int i = 0; i < manifest.open_files_size(); ++i)
    if (&manifest.open_files(i) == &record) return static_cast<std::uint32_t>(i) + 1;
  return 0;
}

std::uint64_t rings_address(const image::ProcessRecord& process, std::uint32_t open_file) {
  for (const image::MappingRecord& mapping : process.mappings())
    if (mapping.open_file() == open_file && mapping.offset() != IORING_OFF_SQES)
      return mapping.begin();
  return 0;
}

Status connect(RestoreSession& session, const image::OpenFileRecord& record, int fd) {
  const IoUringState state = CK_TRY(checked_state(record));
  const RingLayout layout = CK_TRY(same_layout(state));
  const std::uint32_t index = index_of(session.manifest, record);
  const image::ProcessRecord& process = *session.context.processes[session.process].record;
  CK_TRY(place_ring(session.box(), process, index, fd));
  Ring ring = CK_TRY(Ring::open(CK_TRY(session.fetch({session.process, fd}))));
  CK_TRY(ring.map(layout));
  CK_TRY(advance(ring, layout, state, {&session.box(), fd, rings_address(process, index)}));
  fill(ring, layout, state);
  return register_all(session, state, fd);
}

}  // namespace

Result<std::uint32_t> ring_of_mapping(const image::Manifest& manifest,
                                      const image::ProcessRecord& process,
                                      const proc::Mapping& mapping) {
  for (const image::DescriptorRecord& descriptor : process.descriptors()) {
    const image::OpenFileRecord& record =
        manifest.open_files(static_cast<int>(descriptor.open_file()) - 1);
    if (record.kind() != kIoUring.name) continue;
    if (CK_TRY(parse_state<IoUringState>(record)).id() == mapping.inode)
      return descriptor.open_file();
  }
  return make_error(ErrorKind::kRefused,
                    "no descriptor of the process leads to the io_uring whose memory this is",
                    "unmap it, or keep the io_uring open");
}

const Kind kIoUring = {"io_uring", recognises, capture, restore, connect};

}  // namespace ck::resources
