// CK_CHECK: for invariants of ours, never for what came from outside (that is an Error).
#pragma once

namespace ck {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CK_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::ck::check_failed(#condition, __FILE__, __LINE__))
