// The one way into the kernel for injected code: a raw system call, no errno, no libc.
#pragma once

#include <stdint.h>
#include <sys/syscall.h>

namespace ck::abi {

__attribute__((always_inline)) inline int64_t gate(int64_t number, uint64_t a = 0, uint64_t b = 0,
                                                   uint64_t c = 0, uint64_t d = 0, uint64_t e = 0,
                                                   uint64_t f = 0) {
  register uint64_t r10 asm("r10") = d;
  register uint64_t r8 asm("r8") = e;
  register uint64_t r9 asm("r9") = f;
  int64_t result;
  asm volatile("syscall"
               : "=a"(result)
               : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
__attribute__((always_inline)) inline uint64_t address_of(T* pointer) {
  return reinterpret_cast<uint64_t>(pointer);
}

}  // namespace ck::abi
