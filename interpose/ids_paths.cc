// Paths below /proc that name processes by their ids: wrappers, for a filter cannot look at paths.
// They do nothing where ids are not virtual.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interpose/ids.h"
#include "interpose/real.h"

#define CK_EXPORT extern "C" __attribute__((visibility("default")))

CK_DEFINE_REAL(access);
CK_DEFINE_REAL(chdir);
CK_DEFINE_REAL(faccessat);
CK_DEFINE_REAL(fopen);
CK_DEFINE_REAL(fopen64);
CK_DEFINE_REAL(fstatat);
CK_DEFINE_REAL(fstatat64);
CK_DEFINE_REAL(lstat);
CK_DEFINE_REAL(lstat64);
CK_DEFINE_REAL(open);
CK_DEFINE_REAL(open64);
CK_DEFINE_REAL(openat);
CK_DEFINE_REAL(openat64);
CK_DEFINE_REAL(opendir);
CK_DEFINE_REAL(pthread_getname_np);
CK_DEFINE_REAL(pthread_setname_np);
CK_DEFINE_REAL(readlink);
CK_DEFINE_REAL(readlinkat);
CK_DEFINE_REAL(stat);
CK_DEFINE_REAL(stat64);
CK_DEFINE_REAL(statx);

namespace ck::agent {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The text after `prefix`; null: it does not begin so.
const char* after(const char* text, const char* prefix) {
  while (*prefix != '\0')
    if (*text++ != *prefix++) return nullptr;
  return text;
}

// Writes into a buffer as long as there is room.
class Copy {
 public:
  explicit Copy(char (&room)[kPathRoom]) : begin_(room), end_(room + kPathRoom - 1), at_(room) {}
  void add(char c) {
    if (at_ < end_)
      *at_++ = c;
    else
      full_ = true;
  }
  void add_number(int32_t number) {
    char digits[12];
    int count = 0;
    for (; number > 0; number /= 10) digits[count++] = static_cast<char>('0' + number % 10);
    while (count > 0) add(digits[--count]);
  }
  const char* text() {
    *at_ = '\0';
    return full_ ? nullptr : begin_;
  }

 private:
  char *begin_, *end_, *at_;
  bool full_ = false;
};

// A whole component that is a number is an id.
const char* add_id(Copy& copy, const char* from) {
  const char* end = from;
  int64_t number = 0;
  while (is_digit(*end) && number < abi::kNobody) number = number * 10 + (*end++ - '0');
  if (end == from || (*end != '/' && *end != '\0') || number >= abi::kNobody) return from;
  copy.add_number(abi::to_real(ids(), static_cast<int32_t>(number)));
  return end;
}

bool is_own(int64_t id) {
  return id == virtual_id(call(__NR_getpid));
}

// "self", or the own id, and what follows.
const char* after_self(const char* rest) {
  if (const char* self = after(rest, "self")) return self;
  int64_t number = 0;
  const char* end = rest;
  while (is_digit(*end) && number < abi::kNobody) number = number * 10 + (*end++ - '0');
  return end != rest && is_own(number) ? end : nullptr;
}

}  // namespace

const char* real_path(const char* path, char (&room)[kPathRoom]) {
  if (area == nullptr || !ids()->on || path == nullptr) return path;
  const char* rest = after(path, "/proc/");
  if (rest == nullptr) return path;
  const char* own = after_self(rest);
  if (own != nullptr && agent_page()->exe[0] != '\0') {
    const char* exe = after(own, "/exe");
    if (exe != nullptr && *exe == '\0') return agent_page()->exe;
  }
  Copy copy(room);
  for (const char* at = path; at < rest; ++at) copy.add(*at);
  rest = add_id(copy, rest);
  while (*rest != '\0' && *rest != '/') copy.add(*rest++);
  if (const char* task = after(rest, "/task/")) {
    for (; rest < task; ++rest) copy.add(*rest);
    rest = add_id(copy, task);
  }
  while (*rest != '\0') copy.add(*rest++);
  const char* text = copy.text();
  return text == nullptr ? path : text;
}

namespace {

class Path {
 public:
  explicit Path(const char* path) {
    text_ = area != nullptr && ids()->on ? real_path(path, room_) : path;
  }
  operator const char*() const { return text_; }
  bool is_program() const { return text_ == agent_page()->exe; }

 private:
  const char* text_;
  char room_[kPathRoom];
};

// readlink of /proc/self/exe; negative: something else.
ssize_t program_link(const Path& path, char* buffer, size_t size) {
  if (area == nullptr || !path.is_program()) return -1;
  size_t length = 0;
  for (const char* exe = path; exe[length] != '\0' && length < size; ++length)
    buffer[length] = exe[length];
  return static_cast<ssize_t>(length);
}

// A descriptor of the thread's name in /proc.
int open_name(pthread_t thread, int flags) {
  clockid_t clock = 0;
  if (pthread_getcpuclockid(thread, &clock) != 0) return -1;
  char path[48];
  char* at = path;
  for (const char* from = "/proc/self/task/"; *from != '\0';) *at++ = *from++;
  char digits[12];
  int count = 0;
  // The id as libc knows it, in the kernel's form of such clocks.
  for (int32_t tid = abi::to_real(ids(), ~(clock >> 3)); tid > 0; tid /= 10)
    digits[count++] = static_cast<char>('0' + tid % 10);
  while (count > 0) *at++ = digits[--count];
  for (const char* from = "/comm"; *from != '\0';) *at++ = *from++;
  *at = '\0';
  return CK_REAL(open)(path, flags | O_CLOEXEC);
}

}  // namespace
}  // namespace ck::agent

using ck::agent::Path;

#define CK_MODE_OF(flags, mode)                                \
  mode_t mode = 0;                                             \
  if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) { \
    va_list ck_list;                                           \
    va_start(ck_list, flags);                                  \
    mode = va_arg(ck_list, mode_t);                            \
    va_end(ck_list);                                           \
  }

CK_EXPORT int open(const char* path, int flags, ...) {
  CK_MODE_OF(flags, mode)
  return CK_REAL(open)(Path(path), flags, mode);
}

CK_EXPORT int open64(const char* path, int flags, ...) {
  CK_MODE_OF(flags, mode)
  return CK_REAL(open64)(Path(path), flags, mode);
}

CK_EXPORT int openat(int folder, const char* path, int flags, ...) {
  CK_MODE_OF(flags, mode)
  return CK_REAL(openat)(folder, Path(path), flags, mode);
}

CK_EXPORT int openat64(int folder, const char* path, int flags, ...) {
  CK_MODE_OF(flags, mode)
  return CK_REAL(openat64)(folder, Path(path), flags, mode);
}

CK_EXPORT FILE* fopen(const char* path, const char* how) {
  return CK_REAL(fopen)(Path(path), how);
}

CK_EXPORT FILE* fopen64(const char* path, const char* how) {
  return CK_REAL(fopen64)(Path(path), how);
}

CK_EXPORT DIR* opendir(const char* path) {
  return CK_REAL(opendir)(Path(path));
}

CK_EXPORT int access(const char* path, int how) {
  return CK_REAL(access)(Path(path), how);
}

CK_EXPORT int faccessat(int folder, const char* path, int how, int flags) {
  return CK_REAL(faccessat)(folder, Path(path), how, flags);
}

CK_EXPORT int stat(const char* path, struct stat* about) {
  return CK_REAL(stat)(Path(path), about);
}

CK_EXPORT int stat64(const char* path, struct stat64* about) {
  return CK_REAL(stat64)(Path(path), about);
}

CK_EXPORT int lstat(const char* path, struct stat* about) {
  return CK_REAL(lstat)(Path(path), about);
}

CK_EXPORT int lstat64(const char* path, struct stat64* about) {
  return CK_REAL(lstat64)(Path(path), about);
}

CK_EXPORT int fstatat(int folder, const char* path, struct stat* about, int flags) {
  return CK_REAL(fstatat)(folder, Path(path), about, flags);
}

CK_EXPORT int fstatat64(int folder, const char* path, struct stat64* about, int flags) {
  return CK_REAL(fstatat64)(folder, Path(path), about, flags);
}

CK_EXPORT int statx(int folder, const char* path, int flags, unsigned wanted, struct statx* about) {
  return CK_REAL(statx)(folder, Path(path), flags, wanted, about);
}

CK_EXPORT int chdir(const char* path) {
  return CK_REAL(chdir)(Path(path));
}

CK_EXPORT ssize_t readlink(const char* path, char* buffer, size_t size) {
  const Path real(path);
  const ssize_t length = ck::agent::program_link(real, buffer, size);
  return length >= 0 ? length : CK_REAL(readlink)(real, buffer, size);
}

CK_EXPORT ssize_t readlinkat(int folder, const char* path, char* buffer, size_t size) {
  const Path real(path);
  const ssize_t length = ck::agent::program_link(real, buffer, size);
  return length >= 0 ? length : CK_REAL(readlinkat)(folder, real, buffer, size);
}

// libc opens /proc/self/task/TID/comm by itself; so does this.
CK_EXPORT int pthread_getname_np(pthread_t thread, char* name, size_t size) {
  if (ck::agent::area == nullptr || !ck::agent::ids()->on)
    return CK_REAL(pthread_getname_np)(thread, name, size);
  const int saved = errno;
  const int fd = ck::agent::open_name(thread, O_RDONLY);
  ssize_t length = fd < 0 ? -1 : read(fd, name, size);
  const int error = errno;
  if (fd >= 0) close(fd);
  errno = saved;
  if (size < 16) return ERANGE;  // TASK_COMM_LEN, as libc has it
  if (length < 0) return error;
  name[length > 0 ? length - 1 : 0] = '\0';  // a newline
  return 0;
}

CK_EXPORT int pthread_setname_np(pthread_t thread, const char* name) {
  if (ck::agent::area == nullptr || !ck::agent::ids()->on)
    return CK_REAL(pthread_setname_np)(thread, name);
  size_t size = 0;
  while (name[size] != '\0') ++size;
  if (size >= 16) return ERANGE;
  const int saved = errno;
  const int fd = ck::agent::open_name(thread, O_RDWR);
  const ssize_t written = fd < 0 ? -1 : write(fd, name, size);
  const int error = errno;
  if (fd >= 0) close(fd);
  errno = saved;
  return written == static_cast<ssize_t>(size) ? 0 : error;
}

// What _FORTIFY_SOURCE makes of open and readlink.
CK_EXPORT int __open_2(const char* path, int flags) {
  return CK_REAL(open)(Path(path), flags);
}

CK_EXPORT int __open64_2(const char* path, int flags) {
  return CK_REAL(open64)(Path(path), flags);
}

CK_EXPORT int __openat_2(int folder, const char* path, int flags) {
  return CK_REAL(openat)(folder, Path(path), flags);
}

CK_EXPORT int __openat64_2(int folder, const char* path, int flags) {
  return CK_REAL(openat64)(folder, Path(path), flags);
}

CK_EXPORT ssize_t __readlink_chk(const char* path, char* buffer, size_t size, size_t room) {
  if (size > room) __builtin_trap();
  return readlink(path, buffer, size);
}

namespace ck::agent {

void look_up_paths(const NextLibraries& libraries) {
  CK_LOOK_UP(access);
  CK_LOOK_UP(chdir);
  CK_LOOK_UP(faccessat);
  CK_LOOK_UP(fopen);
  CK_LOOK_UP(fopen64);
  CK_LOOK_UP(fstatat);
  CK_LOOK_UP(fstatat64);
  CK_LOOK_UP(lstat);
  CK_LOOK_UP(lstat64);
  CK_LOOK_UP(open);
  CK_LOOK_UP(open64);
  CK_LOOK_UP(openat);
  CK_LOOK_UP(openat64);
  CK_LOOK_UP(opendir);
  CK_LOOK_UP(pthread_getname_np);
  CK_LOOK_UP(pthread_setname_np);
  CK_LOOK_UP(readlink);
  CK_LOOK_UP(readlinkat);
  CK_LOOK_UP(stat);
  CK_LOOK_UP(stat64);
  CK_LOOK_UP(statx);
}

}  // namespace ck::agent
