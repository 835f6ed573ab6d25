#include "runtime/base/result.h"

#include <sysexits.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ck {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "ckrun: internal error: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return EX_USAGE;
    case ErrorKind::kBadImage:
      return EX_DATAERR;
    case ErrorKind::kNotFound:
      return EX_NOINPUT;
    case ErrorKind::kRefused:
      return EX_UNAVAILABLE;
    case ErrorKind::kBug:
      return EX_SOFTWARE;
    case ErrorKind::kSystem:
      return EX_OSERR;
    case ErrorKind::kCannotWrite:
      return EX_IOERR;
    case ErrorKind::kTryAgain:
      return EX_TEMPFAIL;
    case ErrorKind::kPermission:
      return EX_NOPERM;
  }
  return EX_SOFTWARE;
}

namespace {

// Names of files and programs may have any character; a terminal acts on some.
std::string escaped(const std::string& text) {
  std::string result;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    char code[8];
    std::snprintf(code, sizeof code, c == '\n' ? "\\n" : "\\x%02x", byte);
    result += byte < 0x20 || byte == 0x7f ? std::string(code) : std::string(1, c);
  }
  return result;
}

}  // namespace

std::string Error::text() const {
  return escaped(hint.empty() ? message : message + " (" + hint + ")");
}

namespace {

ErrorKind kind_of(int errnum) {
  switch (errnum) {
    case ENOENT:
    case ESRCH:
      return ErrorKind::kNotFound;
    case EACCES:
    case EPERM:
      return ErrorKind::kPermission;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EROFS:
      return ErrorKind::kCannotWrite;
    case ETIMEDOUT:
    case EAGAIN:
      return ErrorKind::kTryAgain;
    default:
      return ErrorKind::kSystem;
  }
}

}  // namespace

Error sys_error(std::string tried, int errnum) {
  Error error;
  error.kind = kind_of(errnum);
  error.errnum = errnum;
  error.message = std::move(tried) + ": " + std::strerror(errnum);
  return error;
}

Error make_error(ErrorKind kind, std::string message, std::string hint) {
  Error error;
  error.kind = kind;
  error.message = std::move(message);
  error.hint = std::move(hint);
  return error;
}

}  // namespace ck
