// Coroutines of the daemon. All of them run on one thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "runtime/base/result.h"

namespace ck::daemon {

namespace asio = boost::asio;
template <typename T>
using Task = asio::awaitable<T>;
using std::chrono::milliseconds;

}  // namespace ck::daemon

#define CK_JOIN_WORDS(a, b) a##b
#define CK_LINE_NAME(name, line) CK_JOIN_WORDS(name, line)

// In coroutines, for CK_TRY: CK_CO_TRY(std::string text, co_await read()) declares `text`, or
// returns the error.
#define CK_CO_TRY(declaration, ...)                                  \
  auto CK_LINE_NAME(ck_result_, __LINE__) = (__VA_ARGS__);           \
  if (!CK_LINE_NAME(ck_result_, __LINE__).ok()) {                    \
    co_return std::move(CK_LINE_NAME(ck_result_, __LINE__)).error(); \
  }                                                                  \
  declaration = std::move(CK_LINE_NAME(ck_result_, __LINE__)).value()

#define CK_CO_CHECK(...)                                         \
  do {                                                           \
    auto ck_status = (__VA_ARGS__);                              \
    if (!ck_status.ok()) co_return std::move(ck_status).error(); \
  } while (false)
