#include "runtime/image/threads.h"

#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <system_error>

namespace ck::image {

unsigned thread_count(unsigned wanted) {
  if (wanted != 0) return wanted;
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof cores, &cores) == 0) {
    return std::max(1u, static_cast<unsigned>(CPU_COUNT(&cores)));
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

Status start_threads(unsigned count, const std::function<void(unsigned)>& body,
                     std::vector<std::jthread>& into) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    for (unsigned i = 0; i < count; ++i) into.emplace_back(body, i);
  } catch (const std::system_error& error) {
    if (into.empty()) status = sys_error("start a thread", error.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

}  // namespace ck::image
