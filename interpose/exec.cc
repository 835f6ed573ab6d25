// Wrappers of the exec and posix_spawn families: the environment that they pass on always carries
// the agent, also when the program clears it. Safe in a vfork child and in a signal handler: no
// memory is allocated but on the stack.
#include <alloca.h>
#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include "interpose/agent.h"
#include "interpose/real.h"

#define CK_EXPORT extern "C" __attribute__((visibility("default")))

extern "C" char** environ;

CK_DEFINE_REAL(execve);
CK_DEFINE_REAL(execveat);
CK_DEFINE_REAL(execvpe);
CK_DEFINE_REAL(fexecve);
CK_DEFINE_REAL(posix_spawn);
CK_DEFINE_REAL(posix_spawnp);

namespace ck::agent {
namespace {

constexpr char kPreload[] = "LD_PRELOAD=";

size_t length_of(const char* text) {
  size_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

bool begins_with(const char* text, const char* prefix) {
  while (*prefix != '\0')
    if (*text++ != *prefix++) return false;
  return true;
}

bool contains(const char* text, const char* part) {
  for (; *text != '\0'; ++text)
    if (begins_with(text, part)) return true;
  return *part == '\0';
}

char* append(char* to, const char* text) {
  while (*text != '\0') *to++ = *text++;
  *to = '\0';
  return to;
}

// What the new environment needs.
struct Needs {
  size_t entries = 0;       // pointers, the null included
  size_t preload = 0;       // bytes of the new LD_PRELOAD entry
  const char* others = "";  // what the program preloads; of several entries ld.so obeys the last
};

Needs measure(char* const* environment) {
  Needs needs;
  for (; environment != nullptr && environment[needs.entries] != nullptr; ++needs.entries)
    if (begins_with(environment[needs.entries], kPreload))
      needs.others = environment[needs.entries] + sizeof kPreload - 1;
  needs.entries += 3;
  needs.preload = sizeof kPreload + length_of(area->agent) + 1 + length_of(needs.others);
  return needs;
}

void write_preload(const char* others, char* to) {
  to = append(to, kPreload);
  if (contains(others, area->agent)) {
    append(to, others);  // in the order that the program wants
    return;
  }
  to = append(to, area->agent);
  if (*others != '\0') append(append(to, ":"), others);
}

// `to` has room for what measure() found: pointers first, then the string.
char** fill(char* const* environment, const Needs& needs, char** to) {
  char* preload = reinterpret_cast<char*>(to + needs.entries);
  write_preload(needs.others, preload);
  size_t count = 0;
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    if (begins_with(*environment, abi::kAreaVariable) &&
        (*environment)[sizeof abi::kAreaVariable - 1] == '=')
      continue;
    if (!begins_with(*environment, kPreload)) to[count++] = *environment;
  }
  to[count++] = preload;
  to[count++] = area->variable;
  to[count] = nullptr;
  return to;
}

}  // namespace
}  // namespace ck::agent

// A copy of `environment` with the agent in it, on the caller's stack.
#define CK_WITH_AGENT(environment)                                                           \
  __extension__({                                                                            \
    char* const* ck_from = (environment);                                                    \
    char** ck_result = const_cast<char**>(ck_from);                                          \
    if (ck::agent::area != nullptr) {                                                        \
      const ck::agent::Needs ck_needs = ck::agent::measure(ck_from);                         \
      ck_result = ck::agent::fill(                                                           \
          ck_from, ck_needs,                                                                 \
          static_cast<char**>(alloca(ck_needs.entries * sizeof(char*) + ck_needs.preload))); \
    }                                                                                        \
    ck_result;                                                                               \
  })

// The variable arguments of execl and its kin as an array on the caller's stack.
#define CK_COLLECT(first, list, argv)                                        \
  size_t ck_count = 1;                                                       \
  {                                                                          \
    va_list ck_counting;                                                     \
    va_start(ck_counting, first);                                            \
    while (va_arg(ck_counting, char*) != nullptr) ++ck_count;                \
    va_end(ck_counting);                                                     \
  }                                                                          \
  char** argv = static_cast<char**>(alloca((ck_count + 1) * sizeof(char*))); \
  va_list list;                                                              \
  va_start(list, first);                                                     \
  argv[0] = const_cast<char*>(first);                                        \
  for (size_t ck_i = 1; ck_i <= ck_count; ++ck_i) argv[ck_i] = va_arg(list, char*)

CK_EXPORT int execve(const char* path, char* const argv[], char* const envp[]) {
  return CK_REAL(execve)(path, argv, CK_WITH_AGENT(envp));
}

CK_EXPORT int execv(const char* path, char* const argv[]) {
  return CK_REAL(execve)(path, argv, CK_WITH_AGENT(environ));
}

CK_EXPORT int execvpe(const char* file, char* const argv[], char* const envp[]) {
  return CK_REAL(execvpe)(file, argv, CK_WITH_AGENT(envp));
}

CK_EXPORT int execvp(const char* file, char* const argv[]) {
  return CK_REAL(execvpe)(file, argv, CK_WITH_AGENT(environ));
}

CK_EXPORT int execveat(int folder, const char* path, char* const argv[], char* const envp[],
                       int flags) {
  return CK_REAL(execveat)(folder, path, argv, CK_WITH_AGENT(envp), flags);
}

CK_EXPORT int fexecve(int fd, char* const argv[], char* const envp[]) {
  return CK_REAL(fexecve)(fd, argv, CK_WITH_AGENT(envp));
}

CK_EXPORT int execl(const char* path, const char* argument, ...) {
  CK_COLLECT(argument, list, argv);
  va_end(list);
  return CK_REAL(execve)(path, argv, CK_WITH_AGENT(environ));
}

CK_EXPORT int execlp(const char* file, const char* argument, ...) {
  CK_COLLECT(argument, list, argv);
  va_end(list);
  return CK_REAL(execvpe)(file, argv, CK_WITH_AGENT(environ));
}

CK_EXPORT int execle(const char* path, const char* argument, ...) {
  CK_COLLECT(argument, list, argv);
  char* const* environment = va_arg(list, char* const*);
  va_end(list);
  return CK_REAL(execve)(path, argv, CK_WITH_AGENT(environment));
}

CK_EXPORT int posix_spawn(pid_t* pid, const char* path, const posix_spawn_file_actions_t* actions,
                          const posix_spawnattr_t* attributes, char* const argv[],
                          char* const envp[]) {
  return CK_REAL(posix_spawn)(pid, path, actions, attributes, argv, CK_WITH_AGENT(envp));
}

CK_EXPORT int posix_spawnp(pid_t* pid, const char* file, const posix_spawn_file_actions_t* actions,
                           const posix_spawnattr_t* attributes, char* const argv[],
                           char* const envp[]) {
  return CK_REAL(posix_spawnp)(pid, file, actions, attributes, argv, CK_WITH_AGENT(envp));
}

namespace ck::agent {

void look_up_exec(const NextLibraries& libraries) {
  CK_LOOK_UP(execve);
  CK_LOOK_UP(execveat);
  CK_LOOK_UP(execvpe);
  CK_LOOK_UP(fexecve);
  CK_LOOK_UP(posix_spawn);
  CK_LOOK_UP(posix_spawnp);
}

}  // namespace ck::agent
