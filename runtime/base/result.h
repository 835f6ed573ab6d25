// Result<T>: a value, or an Error that says what was tried, on what, and why it failed.
// Engine, driver and tools use it wherever a system call or foreign input can fail. Any thread.
// Not for the agent or the restorer: they link no libstdc++.
#pragma once

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "runtime/base/check.h"

namespace ck {

// What kind of failure this is; one documented exit code each (see exit_code()).
enum class ErrorKind {
  kUsage,        // the command line or an option's value is wrong
  kBadImage,     // an image is truncated, damaged, foreign, or of a newer version
  kNotFound,     // no such job, image or process
  kRefused,      // something in the job cannot be checkpointed, or this host cannot restart it
  kBug,          // an invariant of ours does not hold
  kSystem,       // a system call failed for a reason that is none of the others
  kCannotWrite,  // an image or job folder cannot be created or written (disk full, quota)
  kTryAgain,     // timed out, or somebody else is at work on this job
  kPermission,   // wrong owner or mode, or the host forbids it
};

// Exit code of the commands for a failure of their own (sysexits.h).
int exit_code(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kSystem;
  std::string message;  // one line, no newline: what failed, on what, why
  std::string hint;     // what the user can do; may be empty
  int errnum = 0;       // errno of the failed system call, or 0
  bool passes = false;  // the program ends this state by going on: worth waiting for

  // "message (hint)".
  std::string text() const;
  Error with_hint(std::string advice) && {
    hint = std::move(advice);
    return std::move(*this);
  }
  Error that_passes() && {
    passes = true;
    return std::move(*this);
  }
  // Puts "context: " before the message.
  Error within(const std::string& context) && {
    message = context + ": " + message;
    return std::move(*this);
  }
};

// An Error for a failed system call: `tried` says what was tried on what ("open /x").
// The kind follows from errnum (ENOSPC: kCannotWrite, EACCES and EPERM: kPermission, …).
Error sys_error(std::string tried, int errnum = errno);
Error make_error(ErrorKind kind, std::string message, std::string hint = {});

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return checked(); }
  const T& value() const& { return const_cast<Result*>(this)->checked(); }
  T&& value() && { return std::move(checked()); }
  T& operator*() & { return checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->checked(); }
  T&& operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->checked(); }
  const Error& error() const& {
    CK_CHECK(!ok());
    return std::get<1>(state_);
  }
  Error&& error() && {
    CK_CHECK(!ok());
    return std::get<1>(std::move(state_));
  }

 private:
  T& checked() {
    CK_CHECK(ok());
    return std::get<0>(state_);
  }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  void value() const { CK_CHECK(ok()); }
  const Error& error() const& {
    CK_CHECK(!ok());
    return *error_;
  }
  Error&& error() && {
    CK_CHECK(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

// CK_TRY(expr): the value of a Result, or return its error from the function it stands in.
#define CK_TRY(expr)                                                  \
  __extension__({                                                     \
    auto ck_try_result = (expr);                                      \
    if (!ck_try_result.ok()) return std::move(ck_try_result).error(); \
    std::move(ck_try_result).value();                                 \
  })

}  // namespace ck
