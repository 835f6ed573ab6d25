#include "runtime/proc/mailbox.h"

#include <linux/futex.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/timespec.h"
#include "runtime/proc/slot_state.h"
#include "runtime/proc/tasks.h"

namespace ck::proc {

using abi::ThreadSlot;

namespace {

constexpr std::size_t kAlignment = 16;
constexpr int kSpins = 2000;  // about 20 µs: most lists are done by then
constexpr std::chrono::milliseconds kAnswerTime{30000};
constexpr std::chrono::milliseconds kLateAnswerTime{200};

bool is_error(std::int64_t result) {
  return result < 0 && result > -4096;
}

void futex_wait(std::uint32_t* word, std::uint32_t value, std::chrono::nanoseconds timeout) {
  const timespec pause = to_timespec(timeout.count());
  ::syscall(SYS_futex, word, FUTEX_WAIT, value, &pause, nullptr, 0);
}

}  // namespace

Mailbox::Mailbox(const ControlArea& area, unsigned slot, Address area_address, RealPid pid)
    : area_(&area),
      slot_(area.slot(slot)),
      slot_index_(slot),
      area_address_(area_address),
      pid_(pid) {
  slot_->call_count = 0;
}

Mailbox::CallRef Mailbox::CallRef::stop_on_error() const {
  box->slot_->calls[index].stop_on_error = 1;
  return *this;
}

unsigned Mailbox::CallRef::may_fail() const {
  box->may_fail_.set(index);
  return index;
}

Mailbox::Address Mailbox::slot_address(unsigned index) const {
  return area_address_ + abi::kSlotsOffset + std::uint64_t{index} * abi::kSlotStride;
}

std::size_t Mailbox::space_left() const {
  return abi::kDataBytes - data_used_;
}

unsigned Mailbox::calls_left() const {
  return abi::kMaxCalls - slot_->call_count;
}

Mailbox::Address Mailbox::reserve(std::size_t bytes) {
  if (finished_) clear();
  CK_CHECK(bytes <= space_left());
  const std::size_t offset = data_used_;
  data_used_ = std::min<std::size_t>(abi::kDataBytes,
                                     (offset + bytes + kAlignment - 1) / kAlignment * kAlignment);
  std::memset(slot_->data + offset, 0, bytes);
  return slot_address(slot_index_) + offsetof(ThreadSlot, data) + offset;
}

Mailbox::Address Mailbox::put(std::span<const std::byte> bytes) {
  const Address address = reserve(bytes.size());
  std::memcpy(view(address, bytes.size()).data(), bytes.data(), bytes.size());
  return address;
}

Mailbox::Address Mailbox::put_string(std::string_view text) {
  const Address address = reserve(text.size() + 1);
  std::memcpy(view(address, text.size()).data(), text.data(), text.size());
  return address;
}

std::span<std::byte> Mailbox::view(Address address, std::size_t bytes) const {
  const std::size_t offset = address - slot_address(slot_index_) - offsetof(ThreadSlot, data);
  CK_CHECK(offset <= abi::kDataBytes && bytes <= abi::kDataBytes - offset);
  return {reinterpret_cast<std::byte*>(slot_->data) + offset, bytes};
}

Mailbox::CallRef Mailbox::start_call(long number) {
  if (finished_) clear();
  CK_CHECK(slot_->call_count < abi::kMaxCalls);
  const unsigned index = slot_->call_count++;
  abi::Call& call = slot_->calls[index];
  call = {};
  call.number = number;
  return {index, this};
}

void Mailbox::set_plain(unsigned call, unsigned position, std::uint64_t value) {
  slot_->calls[call].args[position] = value;
}

void Mailbox::set_argument(unsigned call, unsigned position, CallRef ref) {
  CK_CHECK(ref.index < call);
  slot_->calls[call].result_of[position] = static_cast<std::uint8_t>(ref.index + 1);
}

void Mailbox::clear() {
  slot_->call_count = 0;
  data_used_ = 0;
  may_fail_.reset();
  finished_ = false;
}

Status Mailbox::wait_parked() {
  for (int spin = 0; spin < kSpins; ++spin) {
    if (__atomic_load_n(&slot_->state, __ATOMIC_ACQUIRE) == abi::kParked) return {};
    __builtin_ia32_pause();
  }
  const auto now = std::chrono::steady_clock::now();
  const auto deadline =
      answer_by_ ? std::max(now + kLateAnswerTime, *answer_by_) : now + kAnswerTime;
  for (;;) {
    const std::uint32_t state = __atomic_load_n(&slot_->state, __ATOMIC_ACQUIRE);
    if (state == abi::kParked) return {};
    if (!is_alive(pid_))
      return make_error(ErrorKind::kTryAgain, "process " + to_string(pid_) + " ended meanwhile");
    if (std::chrono::steady_clock::now() >= deadline)
      return make_error(ErrorKind::kTryAgain, "process " + to_string(pid_) +
                                                  " does not answer (is it stopped, or waiting "
                                                  "for a file system?)");
    if (idle_) idle_();
    futex_wait(&slot_->state, state, std::chrono::milliseconds(idle_ ? 1 : 50));
  }
}

Status Mailbox::command(std::uint32_t state) {
  if (slot_->self_released)
    return make_error(ErrorKind::kBug, "process " + to_string(pid_) + " took itself back");
  set_slot_state(*slot_, state);
  return wait_parked();
}

Status Mailbox::run() {
  finished_ = true;
  return slot_->call_count == 0 ? Status() : command(abi::kRunCalls);
}

void Mailbox::start() {
  finished_ = true;
  set_slot_state(*slot_, abi::kRunCalls);
}

Status Mailbox::finish() {
  return wait_parked();
}

std::int64_t Mailbox::result(unsigned call) const {
  return slot_->calls[call].result;
}

Status Mailbox::expect_all(const std::string& what) const {
  for (unsigned i = 0; i < slot_->call_count; ++i) {
    const abi::Call& call = slot_->calls[i];
    if (call.skipped || !is_error(call.result) || may_fail_[i]) continue;
    return sys_error(what + " (system call " + std::to_string(call.number) + " in process " +
                         to_string(pid_) + ")",
                     static_cast<int>(-call.result));
  }
  return {};
}

Result<std::int64_t> Mailbox::finish_single(const std::string& what, CallRef ref) {
  CK_TRY(run());
  const std::int64_t value = result(ref);
  if (is_error(value))
    return sys_error(what + " in process " + to_string(pid_), static_cast<int>(-value));
  return value;
}

Result<pid_t> Mailbox::clone(clone_args args, unsigned child_slot, pid_t wanted) {
  if (finished_) clear();
  if (wanted != 0) {
    args.set_tid = put_value<std::int32_t>(wanted);
    args.set_tid_size = 1;
  }
  start_clone(args, child_slot);
  return finish_clone();
}

void Mailbox::start_clone(const clone_args& args, unsigned child_slot) {
  slot_->clone_args = put_value(args);
  slot_->clone_size = sizeof args;
  slot_->child_slot = slot_address(child_slot);
  finished_ = true;
  set_slot_state(*slot_, abi::kClone);
}

Result<pid_t> Mailbox::finish_clone() {
  CK_TRY(wait_parked());
  if (is_error(slot_->clone_result))
    return sys_error("clone in process " + to_string(pid_), static_cast<int>(-slot_->clone_result));
  return static_cast<pid_t>(slot_->clone_result);
}

Status Mailbox::jump(Address serve, Address area_there) {
  area_address_ = area_there;
  slot_->jump_to = serve;
  slot_->jump_slot = slot_address(slot_index_);
  slot_->jump_header = area_there;
  clear();
  // The other loop sets kParked when it has arrived, this one leaves the command in place.
  return command(abi::kJump);
}

}  // namespace ck::proc
