#include "runtime/capture/frame.h"

#include <cstring>

#include "runtime/proc/xstate.h"

namespace ck::capture {

namespace {

// arch/x86/include/uapi/asm/ucontext.h
constexpr std::uint64_t kUcFpXstate = 1, kUcSigcontextSs = 2, kUcStrictRestoreSs = 4;

// XCR0, which the regset has in the software bytes.
std::uint64_t enabled_features(std::span<const std::byte> xstate) {
  std::uint64_t features = 0;
  std::memcpy(&features, xstate.data() + proc::kXstateSoftwareOffset, sizeof features);
  return features;
}

}  // namespace

Status build_frame(abi::ThreadSlot& slot, std::uint64_t slot_address,
                   const user_regs_struct& registers, std::span<const std::byte> xstate,
                   std::uint64_t signal_mask) {
  if (xstate.size() < proc::kXstateMinBytes ||
      xstate.size() + proc::kXstateTailBytes > abi::kXstateBytes)
    return make_error(ErrorKind::kRefused, "extended register state of " +
                                               std::to_string(xstate.size()) +
                                               " bytes is of an unknown kind");
  std::memcpy(slot.xstate, xstate.data(), xstate.size());
  proc::seal_xstate(std::as_writable_bytes(std::span(slot.xstate)),
                    static_cast<std::uint32_t>(xstate.size()), enabled_features(xstate));

  abi::SignalFrame& frame = slot.frame;
  frame = {};
  frame.flags = kUcFpXstate | kUcSigcontextSs | kUcStrictRestoreSs;
  frame.r8 = registers.r8;
  frame.r9 = registers.r9;
  frame.r10 = registers.r10;
  frame.r11 = registers.r11;
  frame.r12 = registers.r12;
  frame.r13 = registers.r13;
  frame.r14 = registers.r14;
  frame.r15 = registers.r15;
  frame.rdi = registers.rdi;
  frame.rsi = registers.rsi;
  frame.rbp = registers.rbp;
  frame.rbx = registers.rbx;
  frame.rdx = registers.rdx;
  frame.rax = registers.rax;
  frame.rcx = registers.rcx;
  frame.rsp = registers.rsp;
  frame.rip = registers.rip;
  frame.rflags = registers.eflags;
  frame.cs = static_cast<std::uint16_t>(registers.cs);
  frame.ss = static_cast<std::uint16_t>(registers.ss);
  frame.fpstate = slot_address + offsetof(abi::ThreadSlot, xstate);
  frame.sigmask = signal_mask;
  return {};
}

void restart_call(abi::SignalFrame& frame, std::int64_t number) {
  frame.rax = static_cast<std::uint64_t>(number);
  frame.rip -= 2;  // the syscall instruction
}

}  // namespace ck::capture
