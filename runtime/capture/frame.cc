#include "runtime/capture/frame.h"

#include <cstring>

namespace ck::capture {

namespace {

// arch/x86/include/uapi/asm/sigcontext.h and ucontext.h
constexpr std::uint32_t kMagic1 = 0x46505853;
constexpr std::uint32_t kMagic2 = 0x46505845;
constexpr std::size_t kSoftwareBytes = 464;  // struct _fpx_sw_bytes within the legacy area
constexpr std::size_t kMagic2Bytes = 4;
constexpr std::size_t kMinXsave = 576;  // legacy area and header
constexpr std::uint64_t kUcFpXstate = 1, kUcSigcontextSs = 2, kUcStrictRestoreSs = 4;

struct SoftwareBytes {
  std::uint32_t magic1;
  std::uint32_t extended_size;
  std::uint64_t features;
  std::uint32_t xstate_size;
  std::uint32_t padding[7];
};
static_assert(sizeof(SoftwareBytes) == 48);

// In the regset the same place holds the features that the kernel enabled (XCR0).
std::uint64_t enabled_features(std::span<const std::byte> xstate) {
  std::uint64_t features = 0;
  std::memcpy(&features, xstate.data() + kSoftwareBytes, sizeof features);
  return features;
}

}  // namespace

Status build_frame(abi::ThreadSlot& slot, std::uint64_t slot_address,
                   const user_regs_struct& registers, std::span<const std::byte> xstate,
                   std::uint64_t signal_mask) {
  if (xstate.size() < kMinXsave || xstate.size() + kMagic2Bytes > abi::kXstateBytes)
    return make_error(ErrorKind::kRefused, "extended register state of " +
                                               std::to_string(xstate.size()) +
                                               " bytes is of an unknown kind");
  std::memcpy(slot.xstate, xstate.data(), xstate.size());
  std::memcpy(slot.xstate + xstate.size(), &kMagic2, sizeof kMagic2);
  SoftwareBytes software{};
  software.magic1 = kMagic1;
  software.xstate_size = static_cast<std::uint32_t>(xstate.size());
  software.extended_size = software.xstate_size + kMagic2Bytes;
  software.features = enabled_features(xstate);
  std::memcpy(slot.xstate + kSoftwareBytes, &software, sizeof software);

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
