// A list of system calls for one parked thread to run in its own process, and their results: the
// one way in which the engine acts inside a process. Engine only, one thread at a time.
//
//   Mailbox box(area, slot, area_address, pid);
//   long fd = CK_TRY(box.call("open /x", SYS_openat, AT_FDCWD, box.put_string("/x"), O_RDONLY));
//
// or several calls in one go, the results of earlier ones as arguments of later ones:
//
//   auto fd = box.add(SYS_openat, AT_FDCWD, box.put_string("/x"), O_RDONLY).stop_on_error();
//   box.add(SYS_dup3, fd, 7, 0);
//   CK_TRY(box.run());  // box.result(fd), …
#pragma once

#include <sys/types.h>

#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/proc/control_area.h"

struct clone_args;

namespace ck::proc {

class Mailbox {
 public:
  // An address in the process that owns the slot.
  using Address = std::uint64_t;

  // Names a call that was added; as an argument of a later call of the same list, its result.
  struct CallRef {
    unsigned index;
    Mailbox* box;
    CallRef stop_on_error() const;
    unsigned may_fail() const;  // expect_all() does not look at it; its index
  };

  // `area_address`: where the process maps the area. `pid`: asked whether it still lives.
  Mailbox(const ControlArea& area, unsigned slot, Address area_address, RealPid pid);

  // Memory in the slot that calls may point to; valid until clear(). put() copies in; reserve()
  // gives zeroed space for results. Aligned to 16 bytes. CK_CHECKs that it fits (space_left()).
  Address put(std::span<const std::byte> bytes);
  Address put_string(std::string_view text);  // adds the NUL
  template <typename T>
  requires std::is_trivially_copyable_v<T> Address put_value(const T& value) {
    return put(std::as_bytes(std::span(&value, 1)));
  }
  Address reserve(std::size_t bytes);
  std::span<std::byte> view(Address address, std::size_t bytes) const;
  template <typename T>
  requires std::is_trivially_copyable_v<T> T value_at(Address address)
  const {
    T value;
    std::span<std::byte> bytes = view(address, sizeof value);
    __builtin_memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::size_t space_left() const;
  unsigned calls_left() const;

  template <typename... Args>
  CallRef add(long number, Args... args) {
    static_assert(sizeof...(args) <= 6);
    CallRef ref = start_call(number);
    unsigned position = 0;
    (set_argument(ref.index, position++, args), ...);
    return ref;
  }

  // Runs what was added. An Error means that the process died or did not answer in time; failed
  // calls show in result(). The list and data stay readable until clear() or the next add().
  Status run();
  // The same in two steps, so that several threads can be at work at once. A list that ends the
  // thread is only started.
  void start();
  Status finish();
  std::int64_t result(CallRef ref) const { return result(ref.index); }
  std::int64_t result(unsigned call) const;          // as the kernel returned it; -errno
  Status expect_all(const std::string& what) const;  // an Error for the first call that failed

  // One call: clears nothing that was put, adds, runs, clears. `what` for the message.
  template <typename... Args>
  Result<std::int64_t> call(const std::string& what, long number, Args... args) {
    CallRef ref = add(number, args...);
    return finish_single(what, ref);
  }

  // clone3 in the process; the child serves `child_slot`. Returns its virtual tid. `wanted`: the id
  // that it shall have, instead of args.set_tid; 0: any.
  Result<pid_t> clone(struct clone_args args, unsigned child_slot, pid_t wanted = 0);
  // The same in two steps.
  void start_clone(const struct clone_args& args, unsigned child_slot);
  Result<pid_t> finish_clone();
  // The thread leaves its serve loop for another one, where the area is mapped at `area_there`;
  // returns once it is parked there.
  Status jump(Address serve, Address area_there);

  void clear();
  RealPid pid() const { return pid_; }
  const ControlArea& area() const { return *area_; }
  unsigned slot_index() const { return slot_index_; }
  abi::ThreadSlot* slot() const { return slot_; }
  Address slot_address(unsigned index) const;  // in the process
  Address area_address() const { return area_address_; }
  // Answers are awaited until then; later ones for a fifth of a second each, so that what is under
  // way may end, and whoever does not answer is not waited for again. Without: 30 seconds each.
  void set_answer_by(std::chrono::steady_clock::time_point time) { answer_by_ = time; }
  // Called now and then while an answer is awaited.
  void set_idle(std::function<void()> idle) { idle_ = std::move(idle); }
  // Waits until the thread is parked (after it was diverted, cloned or started).
  Status wait_parked();

 private:
  CallRef start_call(long number);
  void set_argument(unsigned call, unsigned position, CallRef ref);
  // Integers only: an address in the process is a put() or a number, never a pointer of ours.
  template <typename T>
  requires(std::is_integral_v<T> ||
           std::is_enum_v<T>) void set_argument(unsigned call, unsigned position, T value) {
    set_plain(call, position, static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
  }
  void set_plain(unsigned call, unsigned position, std::uint64_t value);
  Result<std::int64_t> finish_single(const std::string& what, CallRef ref);
  Status command(std::uint32_t state);

  const ControlArea* area_;
  abi::ThreadSlot* slot_;
  unsigned slot_index_;
  Address area_address_;
  RealPid pid_;
  std::size_t data_used_ = 0;
  std::bitset<abi::kMaxCalls> may_fail_;
  bool finished_ = false;
  std::optional<std::chrono::steady_clock::time_point> answer_by_;
  std::function<void()> idle_;
};

}  // namespace ck::proc
