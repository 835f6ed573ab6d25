// The kernel's struct sigaction for x86-64, for rt_sigaction(2) by number: glibc's differs, and
// glibc hides signals 32 and 33. Also compiled into code without libc: plain types only.
#pragma once

#include <stdint.h>

namespace ck::abi {

inline constexpr int kLastSignal = 64;

struct KernelSigaction {
  uint64_t handler;  // 0: default, 1: ignore (both as SIG_DFL and SIG_IGN are)
  uint64_t flags;
  uint64_t restorer;
  uint64_t mask;
};

}  // namespace ck::abi
