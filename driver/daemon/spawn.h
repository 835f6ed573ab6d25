// Starting coroutines that nobody waits for, and waiting a little. The daemon's thread only.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include "driver/daemon/event_log.h"
#include "driver/daemon/task.h"

namespace ck::daemon {

// An exception in it is an error of ours: it ends the coroutine, not the daemon.
template <typename Executor>
void spawn(const Executor& executor, Task<void> task) {
  asio::co_spawn(executor, std::move(task), [](std::exception_ptr failure) {
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const std::exception& error) {
      log_event(spdlog::level::err, "internal error", {{"what", error.what()}});
    }
  });
}

}  // namespace ck::daemon
