#include "runtime/job/request_watch.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace ck::job {
namespace {

// Without FUTEX_PRIVATE_FLAG: the word is shared with the job's processes.
void futex_wait(std::uint32_t* word, std::uint32_t while_value) {
  syscall(SYS_futex, word, FUTEX_WAIT, while_value, nullptr, nullptr, 0);
}

void futex_wake(std::uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

RequestWatch::RequestWatch(abi::AreaHeader* area, std::function<void()> on_request)
    : area_(area), on_request_(std::move(on_request)), thread_([this] { thread_main(); }) {}

RequestWatch::~RequestWatch() {
  quit_ = true;
  // The word must change, or a wake between the thread's look and its wait would be lost.
  std::atomic_ref(area_->requests).fetch_add(1);
  futex_wake(&area_->requests);
  thread_.join();
}

void RequestWatch::thread_main() {
  // Zero in a new area: a request from before this thread's start counts too.
  std::uint32_t seen = 0;
  while (!quit_) {
    std::uint32_t now = std::atomic_ref(area_->requests).load();
    if (now == seen) {
      futex_wait(&area_->requests, seen);
      continue;
    }
    seen = now;
    if (!quit_) on_request_();
  }
}

}  // namespace ck::job
