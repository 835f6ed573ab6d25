// Watches over a job from its start (or restart) to its end: passes signals on, takes checkpoints
// when asked by socket, signal or timer, reaps orphans, and records how the program ended.
// Runs in the process's main thread, the parent of the job's root process; other threads: the
// engine's (CheckpointRunner) and RequestWatch.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/abi/control_area.h"
#include "runtime/base/result.h"
#include "runtime/job/checkpoint_runner.h"
#include "runtime/job/control_server.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/ownership.h"
#include "runtime/job/request_watch.h"
#include "runtime/job/signals.h"
#include "runtime/job/stop_with_program.h"
#include "runtime/process/launch.h"

namespace ck::job {

// All that is referred to outlives the Supervisor.
struct SupervisorParts {
  std::string tool;  // "ckrun" or "ckpt": begins its messages
  const JobDir& job;
  Ownership& ownership;
  process::RootProcess& root;
  UniqueFd control_socket;  // open_control_socket(), under this process's name
  abi::AreaHeader* area;
  CheckpointFunction checkpoint;
  Settings settings;
};

class Supervisor {
 public:
  // The caller has blocked the supervised signals and made this process a child subreaper.
  explicit Supervisor(SupervisorParts parts);

  // Until the program has ended; returns the exit status for this process. An Error means that the
  // supervisor could not be set up: the program runs, and the caller must end it.
  Result<int> run();

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;

  Status set_up();
  void wait_for_exit();
  void on_root_ended();
  void end_if_idle();
  void finish();
  void record_end(std::optional<int> wait_status);

  void wait_for_signals();
  void take_signals(const std::function<void(const signalfd_siginfo&)>& handle);
  void handle_signal(const signalfd_siginfo& info, bool early);
  void on_child_change();

  void arm_interval();
  void request_from_within();
  CheckpointOrder plain_order();

  void handle_request(std::shared_ptr<ControlSession> session, wire::Request request);
  void handle_checkpoint(std::shared_ptr<ControlSession> session,
                         const wire::CheckpointRequest& request);
  wire::StatusReply status() const;
  void complain(const std::string& text) const;

  SupervisorParts parts_;
  boost::asio::io_context io_;
  Descriptor exit_;
  Descriptor signals_;
  boost::asio::steady_timer interval_;
  StopWithProgram stop_with_program_;
  ControlServer server_;
  std::unique_ptr<CheckpointRunner> runner_;
  std::unique_ptr<RequestWatch> watch_;
  std::set<pid_t> helpers_;  // children that are not orphans of the job: RootProcess reaps them
  std::shared_ptr<ControlSession> stop_session_;
  bool root_ended_ = false;
  std::optional<int> stop_exit_;  // the job was stopped by a checkpoint
  int exit_status_ = 0;
};

}  // namespace ck::job
