// ckpt's end of the control socket. Blocking, with time-outs; any thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/control_frame.h"

namespace ck::job {

class ControlClient {
 public:
  // Error kinds: kNotFound, if nobody listens there; kPermission, if it is another user's.
  static Result<ControlClient> connect(std::uint64_t pid_namespace, RealPid supervisor);

  using OnProgress = std::function<void(const wire::ProgressReply&)>;
  // Sends the request and waits for its last reply; at most `patience` between two replies. The
  // supervisor's refusal comes back as the Error that it is.
  Result<wire::Reply> ask(wire::Request request, std::chrono::milliseconds patience,
                          const OnProgress& on_progress = {});
  Result<wire::StatusReply> status();

  // Waits for the supervisor to go, which closes the connection. False if it takes longer.
  bool wait_for_end(std::chrono::milliseconds patience);

  RealPid supervisor() const { return supervisor_; }

 private:
  ControlClient(UniqueFd fd, RealPid supervisor) : fd_(std::move(fd)), supervisor_(supervisor) {}
  Status send(const std::string& frame);
  Result<bool> wait_for_reply(std::chrono::steady_clock::time_point deadline);
  Status receive(char* into, std::size_t size, std::chrono::steady_clock::time_point deadline);
  Result<wire::Reply> receive_reply(std::chrono::milliseconds patience);
  UniqueFd fd_;
  RealPid supervisor_;
};

}  // namespace ck::job
