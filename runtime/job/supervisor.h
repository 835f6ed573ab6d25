// Watches over a job from its start (or restart) until its last process has ended: passes signals
// on, takes checkpoints when asked by socket, signal or timer, reaps orphans, and records how the
// program ended. Runs in the process's main thread, the parent of the job's root process; other
// threads: the engine's (CheckpointRunner) and RequestWatch.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "runtime/abi/control_area.h"
#include "runtime/base/result.h"
#include "runtime/capture/twin.h"
#include "runtime/job/checkpoint_runner.h"
#include "runtime/job/control_server.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/keeper_link.h"
#include "runtime/job/ownership.h"
#include "runtime/job/request_watch.h"
#include "runtime/job/signals.h"
#include "runtime/job/stop_with_program.h"
#include "runtime/job/suspension.h"
#include "runtime/process/launch.h"

namespace ck::job {

// The job's root process, or once that has ended the oldest of those that are left without a
// parent: what the engine begins with. Written by the supervisor's main thread, read by the
// engine's.
struct JobHead {
  std::atomic<pid_t> pid{0};
  std::atomic<int> root_status{-1};  // a wait status; -1: the root runs
};

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
  JobHead& head;
  Suspension& suspension;
  // A process of the job that runs and whose parent has ended, or none; not one of `others`.
  std::function<RealPid(const std::set<pid_t>& others)> find_orphan;
  const KeeperLink* terminal;  // the job's own; null: it has none
  SharedTerminal* shared;      // the user's, which the job then uses itself; null: none
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
  void on_head_ended();
  void end_if_idle();
  void note_root_status();
  bool go_on_with_orphan();
  void finish();
  void hand_over();
  Status end_rest();
  bool lost_terminal() const;
  void record_end(std::optional<int> wait_status);

  void wait_for_signals();
  void take_signals(const std::function<void(const signalfd_siginfo&)>& handle);
  void handle_signal(const signalfd_siginfo& info, bool early);
  void on_child_change();
  void on_stop(int number);

  Status watch_terminal();
  void wait_for_keeper();
  void take_keeper_message();
  void continue_program();
  void redraw();
  void stop_in_background(int number);

  Status suspend(SuspendedBy by, std::chrono::milliseconds lease);
  Status resume();
  void arm_lease();
  void go_on_by_user();

  void arm_interval();
  void request_from_within();
  CheckpointOrder plain_order();

  void handle_request(std::shared_ptr<ControlSession> session, wire::Request request);
  void handle_checkpoint(std::shared_ptr<ControlSession> session,
                         const wire::CheckpointRequest& request);
  void handle_unhold(std::shared_ptr<ControlSession> session, const wire::UnholdRequest& request);
  void send_status(ControlSession& session, const Status& done);
  void handle_suspend(ControlSession& session, const wire::SuspendRequest& request);
  void handle_resume(ControlSession& session, const wire::ResumeRequest& request);
  Status prepare_unhold(const wire::UnholdRequest& request);
  wire::StatusReply status() const;
  RealPid head() const { return RealPid(parts_.head.pid); }
  void complain(const std::string& text) const;

  SupervisorParts parts_;
  boost::asio::io_context io_;
  Descriptor exit_;
  Descriptor signals_;
  boost::asio::steady_timer interval_;
  boost::asio::steady_timer lease_;  // of a suspension by load
  Descriptor keeper_;
  bool stop_told_ = false;  // to the job's terminal
  StopWithProgram stop_with_program_;
  ControlServer server_;
  std::unique_ptr<CheckpointRunner> runner_;
  std::unique_ptr<RequestWatch> watch_;
  std::set<pid_t> helpers_;  // children that are not orphans of the job: RootProcess reaps them
  std::shared_ptr<ControlSession> stop_session_;
  // Who shall hear how a held job's checkpoint ends.
  std::shared_ptr<std::shared_ptr<ControlSession>> held_asker_;
  std::unique_ptr<process::RootProcess> orphan_;  // the head, once the root has ended
  Result<int> root_status_{0};                    // once it has ended
  bool finishing_ = false;
  bool head_ended_ = false;
  bool root_ended_ = false;
  std::optional<int> stop_exit_;                             // the job was stopped by a checkpoint
  std::optional<Incarnation> moved_;                         // and goes on elsewhere
  wire::Reply moved_reply_;                                  // sent when nothing of it is left here
  std::vector<std::shared_ptr<const capture::Twin>> heirs_;  // of what was killed
  int exit_status_ = 0;
};

}  // namespace ck::job
