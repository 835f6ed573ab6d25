// An old vdso that stays as plain memory because the program may hold pointers into it: each of its
// functions leads to the host's. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace ck::restore {

// The functions' offsets, by name.
std::map<std::string, std::uint64_t> vdso_functions(std::span<const std::byte> vdso);

// `old` with each function turned into a jump to its namesake in `host`, which lies at
// `host_address`. What the host's kernel does not have becomes the system call that it stands for;
// error kRefused where there is none.
Result<std::vector<std::byte>> redirect_vdso(std::vector<std::byte> old,
                                             std::span<const std::byte> host,
                                             std::uint64_t host_address);

}  // namespace ck::restore
