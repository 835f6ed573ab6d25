// Typed process ids. A VirtualPid is what the program believes; a RealPid is what the kernel calls
// the process in the supervisor's pid namespace. They never convert into each other silently.
// Both serve for threads too (a tid is a pid in the kernel).
#pragma once

#include <sys/types.h>

#include <compare>
#include <string>

namespace ck {

template <typename Tag>
struct TypedPid {
  pid_t value = 0;
  constexpr TypedPid() = default;
  constexpr explicit TypedPid(pid_t pid) : value(pid) {}
  constexpr auto operator<=>(const TypedPid&) const = default;
  constexpr explicit operator bool() const { return value > 0; }
};

using RealPid = TypedPid<struct RealPidTag>;
using VirtualPid = TypedPid<struct VirtualPidTag>;

template <typename Tag>
std::string to_string(TypedPid<Tag> pid) {
  return std::to_string(pid.value);
}

}  // namespace ck
