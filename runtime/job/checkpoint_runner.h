// The engine's thread: takes a job's checkpoints, one at a time, always in the same thread (it
// traces with ptrace). Others wait. Methods: supervisor's main thread only; the
// callbacks come from there too.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "runtime/base/result.h"
#include "runtime/capture/checkpoint.h"
#include "runtime/job/control.pb.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/ownership.h"

namespace ck::job {

// capture::checkpoint, with the job's root and control area bound to it.
using CheckpointFunction =
    std::function<Result<capture::CheckpointReport>(const capture::CheckpointOptions&)>;

struct CheckpointOutcome {
  std::string image;
  std::uint64_t generation = 0;
  capture::CheckpointReport report;
  bool stopped = false;
  std::string warning;  // what failed after the image was safe
};

struct CheckpointOrder {
  Settings settings;  // the job's, with what this request changes
  Settings lasting;   // the job's, as its next life is to have them
  bool stop = false;
  std::string basis;         // path of an image that the new one is on top of; empty: none
  bool track = false;        // changes are noted, for the next order with a basis
  bool any_will_do = false;  // nobody waits for this one: refused if another waits already
  // With stop: the image is safe, and the job stands still until unhold(). May be empty.
  std::function<void(const CheckpointOutcome&)> on_held;
  std::function<bool()> still_wanted;  // asked when its turn comes; may be empty
  std::function<void(const wire::ProgressReply&)> on_progress;  // may be empty
  std::function<void(Result<CheckpointOutcome>)> on_done;
};

class CheckpointRunner {
 public:
  CheckpointRunner(boost::asio::io_context& io, const JobDir& job, const Ownership& ownership,
                   CheckpointFunction checkpoint);
  ~CheckpointRunner();  // waits for the checkpoint that runs

  // One after the other, what ends the job first. Refused (on_done with kTryAgain) if the job is
  // just being ended or held, or if the order's turn does not come within its time-out.
  void submit(CheckpointOrder order);
  bool busy() const { return running_.has_value(); }
  bool stopping() const { return running_ && running_->stop; }
  bool held() const { return held_; }
  // What is held goes on, or is ended; on_done follows.
  void unhold(bool goes_on);
  // The order that waits is refused; what runs goes on.
  void refuse_waiting(const Error& reason);
  // Called when a checkpoint has ended and no other has begun.
  void on_idle(std::function<void()> callback) { on_idle_ = std::move(callback); }

 private:
  class ProgressMeter;
  static constexpr std::size_t kMostWaiting = 64;
  struct Waiting {
    std::uint64_t number = 0;
    CheckpointOrder order;
    boost::asio::steady_timer deadline;
  };
  void refuse_late(std::uint64_t number);
  std::optional<CheckpointOrder> take_waiting();
  void start(CheckpointOrder order);
  void finished(Result<CheckpointOutcome> outcome);
  void report_progress();
  bool await_unhold(const CheckpointOutcome& outcome);
  void thread_main();

  boost::asio::io_context& io_;
  const JobDir& job_;
  const Ownership& ownership_;
  CheckpointFunction checkpoint_;
  std::function<void()> on_idle_;

  std::optional<CheckpointOrder> running_;
  std::uint64_t last_number_ = 0;
  std::list<Waiting> waiting_;  // in the order in which they came
  bool held_ = false;
  boost::asio::steady_timer progress_timer_;
  std::unique_ptr<ProgressMeter> meter_;

  std::mutex mutex_;  // of the four below
  std::condition_variable wake_;
  std::optional<CheckpointOrder> next_;
  std::optional<bool> goes_on_;  // what is held
  bool quit_ = false;
  std::thread thread_;
};

}  // namespace ck::job
