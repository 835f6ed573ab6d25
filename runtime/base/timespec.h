// Times as the kernel gives them, and as one number. Any thread.
#pragma once

#include <time.h>

#include <cstdint>
#include <limits>

namespace ck {

// The nearest that fits: a file may be of the year 3000, the number ends in 2262.
constexpr std::int64_t to_nanoseconds(const timespec& time) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(time.tv_sec, 1'000'000'000, &result) ||
      __builtin_add_overflow(result, time.tv_nsec, &result))
    return time.tv_sec < 0 ? std::numeric_limits<std::int64_t>::min()
                           : std::numeric_limits<std::int64_t>::max();
  return result;
}

// Also of a time before 1970: tv_nsec is never negative.
constexpr timespec to_timespec(std::int64_t nanoseconds) {
  const std::int64_t rest = nanoseconds % 1'000'000'000;
  const std::int64_t seconds = nanoseconds / 1'000'000'000;
  return rest < 0 ? timespec{seconds - 1, rest + 1'000'000'000} : timespec{seconds, rest};
}

}  // namespace ck
