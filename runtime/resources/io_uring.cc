#include "runtime/resources/io_uring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/proc/maps.h"
#include "runtime/proc/text_cursor.h"
#include "runtime/resources/capture.h"
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

Status capture_files(std::string_view text, IoUringState& state) {
  state.set_file_slots(
      proc::TextCursor(proc::fdinfo_field(text, "UserFiles")).number<std::uint32_t>());
  std::string_view lines = lines_below(text, "UserFiles:", "UserBufs:");
  for (std::size_t at; (at = lines.find("\n ")) != lines.npos;) {
    lines.remove_prefix(at + 1);
    const std::string_view line = lines.substr(0, lines.find('\n'));
    if (line.find("<none>") != line.npos) continue;
    return make_error(ErrorKind::kRefused,
                      "files are registered with this io_uring (" +
                          std::string(line.substr(line.find(": ") + 2)) +
                          "), and nobody can ask which open files these are",
                      "let the program use descriptors instead");
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

Status survey(const OpenFile& file) {
  IoUringState state;
  return capture_files(file.entry.info.text, state);
}

std::string bytes_of(std::span<const std::byte> part, std::size_t size) {
  return {reinterpret_cast<const char*>(part.data()), size};
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  CK_TRY(refuse_shared(session, file));
  if (session.survey) return survey(file);
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
  IoUringState state;
  CK_TRY(capture_buffers(now.text, state));
  CK_TRY(capture_files(now.text, state));
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

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<IoUringState>(record));
  io_uring_params params{};
  params.flags = (state.flags() & kKeptFlags) | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
  if (params.flags & IORING_SETUP_DEFER_TASKRUN) params.flags |= IORING_SETUP_TASKRUN_FLAG;
  params.cq_entries = state.completion_entries();
  proc::Mailbox& box = session.box();
  const auto address = box.put_value(params);
  const auto fd = CK_TRY(
      box.call("set up an io_uring", SYS_io_uring_setup, state.submission_entries(), address));
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

// Brings the kernel's counters to where they were. The ring is new: all requests in it are NOPs.
class Advance {
 public:
  Advance(proc::Mailbox& box, Ring& ring, const RingLayout& layout, const IoUringState& state,
          int fd)
      : box_(box), ring_(ring), layout_(layout), state_(state), fd_(fd) {}

  Status run(const image::ProcessRecord& process, std::uint32_t open_file) {
    for (const image::MappingRecord& mapping : process.mappings())
      if (mapping.open_file() == open_file && mapping.offset() != IORING_OFF_SQES)
        rings_there_ = mapping.begin();
    CK_TRY(to(state_.completed()));
    // What was dropped, or lost, has no completion.
    for (std::size_t i = 0; i < layout_.submission_entries; ++i)
      ring_.requests()[i * layout_.request_bytes() + offsetof(io_uring_sqe, flags)] =
          std::byte{IOSQE_CQE_SKIP_SUCCESS};
    CK_TRY(to(state_.submitted()));
    const RingState now = CK_TRY(ring_.state());
    if (now.taken == state_.submitted() && now.completed == state_.completed()) return {};
    return make_error(ErrorKind::kSystem,
                      "the counters of an io_uring could not be brought to their values");
  }

 private:
  std::uint32_t taken() const { return load(layout_.sq.head); }
  std::uint32_t load(std::uint32_t offset) const {
    return __atomic_load_n(&ring_.word(offset), __ATOMIC_ACQUIRE);
  }
  void store(std::uint32_t offset, std::uint32_t value) {
    __atomic_store_n(&ring_.word(offset), value, __ATOMIC_RELEASE);
  }
  void take_completions() { store(layout_.cq.head, load(layout_.cq.tail)); }

  Status to(std::uint32_t target) {
    while (taken() != target) {
      const std::uint32_t before = taken();
      if (state_.flags() & IORING_SETUP_SQPOLL)
        CK_TRY(by_polling_thread(std::min(target - before, layout_.submission_entries)));
      else if (state_.flags() & IORING_SETUP_SINGLE_ISSUER)
        CK_TRY(by_issuer(target - before));
      else
        CK_TRY(by_engine(target - before));
      take_completions();
      if (taken() == before) return make_error(ErrorKind::kSystem, "an io_uring takes no requests");
    }
    return {};
  }

  Status by_engine(std::uint32_t rest) {
    store(layout_.sq.tail, taken() + rest);
    const int result = ring_.enter(layout_.submission_entries, 0);
    return result >= 0 ? Status() : sys_error("make requests of an io_uring", -result);
  }

  // Lists of calls: requests, and then the program's part of taking their completions, which is to
  // add to the ring's head. futex(2) is a call that adds.
  Status by_issuer(std::uint32_t rest) {
    const std::uint32_t entries = layout_.submission_entries;
    const auto shift = static_cast<unsigned>(__builtin_ctz(entries));
    store(layout_.sq.tail, taken() + rest);
    box_.clear();
    const bool many = rest >= entries && state_.completed() != taken();
    for (std::uint32_t i = 0; many && i < rest / entries && box_.calls_left() >= 2; ++i) {
      box_.add(SYS_io_uring_enter, fd_, entries, 0, 0, 0, 0);
      box_.add(SYS_futex, rings_there_ + layout_.cq.tail, FUTEX_WAKE_OP_PRIVATE, 0, 0,
               rings_there_ + layout_.cq.head,
               FUTEX_OP(FUTEX_OP_ADD | FUTEX_OP_OPARG_SHIFT, shift, FUTEX_OP_CMP_EQ, 0));
    }
    if (!many) box_.add(SYS_io_uring_enter, fd_, entries, 0, 0, 0, 0);
    CK_TRY(box_.run());
    CK_TRY(box_.expect_all("make requests of an io_uring"));
    box_.clear();
    return {};
  }

  Status by_polling_thread(std::uint32_t count) {
    const std::uint32_t target = taken() + count;
    store(layout_.sq.tail, target);
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (taken() != target && std::chrono::steady_clock::now() < give_up) {
      if (load(layout_.sq.flags) & IORING_SQ_NEED_WAKEUP)
        (void)ring_.enter(0, IORING_ENTER_SQ_WAKEUP);
      std::this_thread::yield();
    }
    // It shows that it has taken them before it shows that they are done.
    while (CK_TRY(ring_.state()).in_flight() != 0 && std::chrono::steady_clock::now() < give_up)
      std::this_thread::yield();
    return {};
  }

  proc::Mailbox& box_;
  Ring& ring_;
  const RingLayout& layout_;
  const IoUringState& state_;
  int fd_;
  std::uint64_t rings_there_ = 0;
};

// All but what is the kernel's. The tail comes last: from then on there are requests.
void fill(Ring& ring, const RingLayout& layout, const IoUringState& state) {
  const auto old_word = [&](std::uint32_t offset) {
    std::uint32_t value = 0;
    std::memcpy(&value, state.rings().data() + offset, sizeof value);
    return value;
  };
  std::memcpy(ring.requests().data(), state.requests().data(), state.requests().size());
  std::memcpy(ring.rings().data() + layout.cq.cqes, state.rings().data() + layout.cq.cqes,
              state.rings().size() - layout.cq.cqes);
  for (std::uint32_t offset :
       {layout.sq.dropped, layout.cq.overflow, layout.cq.flags, layout.cq.head, layout.sq.tail})
    __atomic_store_n(&ring.word(offset), old_word(offset), __ATOMIC_RELEASE);
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
    const std::vector<std::int32_t> none(state.file_slots(), -1);
    CK_TRY(register_list(session, "register files with an io_uring", fd, IORING_REGISTER_FILES,
                         std::as_bytes(std::span(none)), state.file_slots()));
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

Status connect(RestoreSession& session, const image::OpenFileRecord& record, int fd) {
  const IoUringState state = CK_TRY(checked_state(record));
  const RingLayout layout = CK_TRY(same_layout(state));
  const std::uint32_t index = index_of(session.manifest, record);
  const image::ProcessRecord& process = *session.context.processes[session.process].record;
  CK_TRY(place_ring(session.box(), process, index, fd));
  Ring ring = CK_TRY(Ring::open(CK_TRY(session.fetch({session.process, fd}))));
  CK_TRY(ring.map(layout));
  CK_TRY(Advance(session.box(), ring, layout, state, fd).run(process, index));
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
