#include "runtime/resources/io_uring_idle.h"

#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace ck::resources {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPatience{20};  // without any completion
constexpr std::chrono::microseconds kBetween{100};
constexpr unsigned kBufferGroups = 65536;

// struct io_uring_buf_status
struct BufferStatus {
  std::uint32_t group = 0, head = 0, reserved[8] = {};
};

// An impossible argument: the answer only tells whether the caller may ask.
constexpr std::uint64_t kNoArgument = 1;

Error restricted() {
  return make_error(ErrorKind::kRefused,
                    "it is an io_uring with restrictions, which nobody can ask for");
}

int asked_there(proc::Mailbox& box, int fd, unsigned operation, std::uint64_t argument,
                unsigned count) {
  box.clear();
  const auto call = box.add(SYS_io_uring_register, fd, operation, argument, count);
  const int result = box.run().ok() ? static_cast<int>(box.result(call)) : -ESRCH;
  box.clear();
  return result;
}

int ask_group(const Ring& ring, std::uint32_t group) {
  BufferStatus status{group};
  return ring.ask(kRegisterBufferStatus, reinterpret_cast<std::uint64_t>(&status), 1);
}

// Linux 6.8 and later; a new ring has none.
bool kernel_tells_groups() {
  static const bool tells = [] {
    Result<Ring> fresh = Ring::create();
    return fresh.ok() && ask_group(*fresh, 0) == -ENOENT;
  }();
  return tells;
}

Error not_idle(const RingState& state) {
  const auto in_flight = static_cast<std::int32_t>(state.in_flight());
  std::string what = "the kernel is at work on it";
  if (in_flight > 0)
    what = std::to_string(in_flight) +
           (in_flight == 1 ? " request of this io_uring has" : " requests of this io_uring have") +
           " not been completed";
  else if (state.polling_thread >= 0 && state.waiting() != 0)
    what = "its polling thread has not taken all requests of this io_uring";
  return make_error(
             ErrorKind::kTryAgain, what,
             "only an idle io_uring can be checkpointed; ckpt waits for that up to --timeout")
      .that_passes();
}

}  // namespace

Result<RingIssuer> RingIssuer::find(const Ring& ring, std::vector<proc::Mailbox>& threads, int fd) {
  const int enabled = ring.enter(0, 0);
  if (enabled == -EBADFD)
    return make_error(ErrorKind::kTryAgain, "it is an io_uring that is not enabled yet",
                      "try again in a moment")
        .that_passes();
  if (enabled == -EOWNERDEAD)
    return make_error(ErrorKind::kRefused, "it is an io_uring whose polling thread has ended");
  const int own = ring.ask(IORING_REGISTER_ENABLE_RINGS, kNoArgument, 1);
  if (own == -EINVAL) return RingIssuer(ring, nullptr, false, fd);
  if (own == -EACCES) return restricted();
  for (proc::Mailbox& box : threads) {
    const int theirs = asked_there(box, fd, IORING_REGISTER_ENABLE_RINGS, kNoArgument, 1);
    if (theirs == -EINVAL) return RingIssuer(ring, &box, &box == &threads.front(), fd);
    if (theirs == -EACCES) return restricted();
  }
  return make_error(ErrorKind::kRefused,
                    "it is an io_uring that only one thread may use, which has ended");
}

Result<int> RingIssuer::ask(unsigned operation, std::uint64_t argument, unsigned count) const {
  if (box_ == nullptr) return ring_->ask(operation, argument, count);
  return asked_there(*box_, fd_, operation, argument, count);
}

Status RingIssuer::reap() const {
  if (box_ == nullptr) {
    (void)ring_->enter(0, IORING_ENTER_GETEVENTS);
    return {};
  }
  box_->clear();
  box_->add(SYS_io_uring_enter, fd_, 0, 0, IORING_ENTER_GETEVENTS, 0, 0);
  CK_TRY(box_->run());
  box_->clear();
  return {};
}

Result<bool> RingIssuer::has_buffer_groups() const {
  if (!kernel_tells_groups()) return false;
  for (std::uint32_t group = 0; box_ == nullptr && group < kBufferGroups; ++group)
    if (ask_group(*ring_, group) != -ENOENT) return true;
  for (std::uint32_t group = 0; box_ != nullptr && group < kBufferGroups;) {
    box_->clear();
    unsigned calls = 0;
    for (; group < kBufferGroups && box_->calls_left() > 0; ++group, ++calls)
      box_->add(SYS_io_uring_register, fd_, kRegisterBufferStatus,
                box_->put_value(BufferStatus{group}), 1);
    CK_TRY(box_->run());
    for (unsigned call = 0; call < calls; ++call)
      if (box_->result(call) != -ENOENT) return true;
    box_->clear();
  }
  return false;
}

Result<RingState> await_idle(const Ring& ring, const RingIssuer& issuer, bool polls) {
  auto give_up = steady_clock::now() + kPatience;
  for (std::uint32_t completed = 0;;) {
    RingState state = CK_TRY(ring.state());
    const bool taken = state.polling_thread < 0 || state.waiting() == 0;
    if (state.in_flight() == 0 && !state.listed && taken) return state;
    if (static_cast<std::int32_t>(state.in_flight()) < 0)
      return make_error(ErrorKind::kRefused,
                        "this io_uring has had more completions than requests (multishot, "
                        "zero-copy, messages of other rings), so nobody can tell when it is idle");
    if (state.completed != completed) give_up = steady_clock::now() + kPatience;
    completed = state.completed;
    if (steady_clock::now() >= give_up) return not_idle(state);
    if (issuer.is_single() || polls) CK_TRY(issuer.reap());
    std::this_thread::sleep_for(kBetween);
  }
}

Status check_history(const Ring& ring, const RingLayout& layout) {
  constexpr std::uint32_t kUncounted = IORING_CQE_F_MORE | IORING_CQE_F_NOTIF | kCqeSkip | kCqeBig;
  const auto uncounted = [](const char* what) {
    return make_error(ErrorKind::kTryAgain,
                      std::string("this io_uring has been used for ") + what +
                          ", so nobody can tell whether it is idle",
                      "only rings whose requests complete once each can be checkpointed")
        .that_passes();
  };
  for (std::size_t i = 0; i < layout.completion_entries; ++i) {
    io_uring_cqe completion{};
    std::memcpy(&completion, ring.rings().data() + layout.cq.cqes + i * layout.completion_bytes(),
                sizeof completion);
    if (completion.flags & kUncounted) return uncounted("requests with several completions");
    if (completion.flags & IORING_CQE_F_BUFFER) return uncounted("buffers that the kernel chooses");
  }
  for (std::size_t i = 0; i < layout.submission_entries; ++i) {
    io_uring_sqe request{};
    std::memcpy(&request, ring.requests().data() + i * layout.request_bytes(), sizeof request);
    if (request.flags & IOSQE_CQE_SKIP_SUCCESS) return uncounted("requests without a completion");
    if (request.opcode == IORING_OP_MSG_RING) return uncounted("messages to other rings");
    if (request.personality != 0)
      return make_error(ErrorKind::kRefused,
                        "this io_uring has requests with a personality, which nobody can ask for");
  }
  return {};
}

}  // namespace ck::resources
