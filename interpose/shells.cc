// Wrappers of the functions with which libc itself starts a shell. They pass on `environ`, which is
// the program's own: it may have been cleared, and after a restart it names the control area of an
// earlier life. So it is made to point to what the area itself says (abi::AreaHeader::variable).
#include <alloca.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wordexp.h>

#include "interpose/agent.h"
#include "interpose/real.h"

#define CK_EXPORT extern "C" __attribute__((visibility("default")))

CK_DEFINE_REAL(popen);
CK_DEFINE_REAL(system);
CK_DEFINE_REAL(wordexp);

namespace ck::agent {
namespace {

constexpr char kPreload[] = "LD_PRELOAD";

void renew_preload() {
  const char* others = getenv(kPreload);
  if (others != nullptr && strstr(others, area->agent) != nullptr) return;
  if (others == nullptr || *others == '\0') {
    setenv(kPreload, area->agent, 1);
    return;
  }
  const size_t length = strlen(area->agent);
  char* both = static_cast<char*>(alloca(length + 1 + strlen(others) + 1));
  memcpy(both, area->agent, length);
  both[length] = ':';
  strcpy(both + length + 1, others);
  setenv(kPreload, both, 1);
}

// Changes nothing but the first time, or where the program has changed it.
void renew_environment() {
  if (area == nullptr) return;
  const int saved = errno;
  const char* path = getenv(abi::kAreaVariable);
  if (path != area->variable + sizeof abi::kAreaVariable) putenv(area->variable);
  renew_preload();
  errno = saved;
}

}  // namespace
}  // namespace ck::agent

CK_EXPORT FILE* popen(const char* command, const char* mode) {
  ck::agent::renew_environment();
  return CK_REAL(popen)(command, mode);
}

CK_EXPORT int system(const char* command) {
  ck::agent::renew_environment();
  return CK_REAL(system)(command);
}

CK_EXPORT int wordexp(const char* words, wordexp_t* result, int flags) {
  ck::agent::renew_environment();
  return CK_REAL(wordexp)(words, result, flags);
}

namespace ck::agent {

void look_up_shells(const NextLibraries& libraries) {
  CK_LOOK_UP(popen);
  CK_LOOK_UP(system);
  CK_LOOK_UP(wordexp);
}

}  // namespace ck::agent
