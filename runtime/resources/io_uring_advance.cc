#include "runtime/resources/io_uring_advance.h"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace ck::resources {
namespace {

constexpr std::chrono::seconds kThreadTime{5};  // for the polling thread

class Advance {
 public:
  Advance(Ring& ring, const RingLayout& layout, const IoUringState& state, const RingThere& there)
      : box_(*there.box),
        ring_(ring),
        layout_(layout),
        state_(state),
        fd_(there.fd),
        rings_there_(there.rings) {}

  Status run() {
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
    const auto give_up = std::chrono::steady_clock::now() + kThreadTime;
    while (taken() != target && std::chrono::steady_clock::now() < give_up) {
      if (load(layout_.sq.flags) & IORING_SQ_NEED_WAKEUP)
        (void)ring_.enter(0, IORING_ENTER_SQ_WAKEUP);
      std::this_thread::yield();
    }
    // It shows that it has taken them before it shows that they are done.
    const std::uint32_t completed = std::min(target, state_.completed());
    while (load(layout_.cq.tail) != completed && std::chrono::steady_clock::now() < give_up)
      std::this_thread::yield();
    return {};
  }

  proc::Mailbox& box_;
  Ring& ring_;
  const RingLayout& layout_;
  const IoUringState& state_;
  int fd_;
  std::uint64_t rings_there_;
};

}  // namespace

Status advance(Ring& ring, const RingLayout& layout, const IoUringState& state,
               const RingThere& there) {
  return Advance(ring, layout, state, there).run();
}

// The tail comes last: from then on there are requests.
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

}  // namespace ck::resources
