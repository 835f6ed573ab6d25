// Waits for the program's side of `kill -USR2 PROGRAM`: the agent's handler adds one to
// AreaHeader.requests and wakes. A thread of its own, asleep in the kernel.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "runtime/abi/control_area.h"

namespace ck::job {

class RequestWatch {
 public:
  // `on_request` is called from the watch's thread.
  RequestWatch(abi::AreaHeader* area, std::function<void()> on_request);
  ~RequestWatch();

 private:
  void thread_main();
  abi::AreaHeader* area_;
  std::function<void()> on_request_;
  std::atomic<bool> quit_{false};
  std::thread thread_;
};

}  // namespace ck::job
