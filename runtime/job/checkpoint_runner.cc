#include "runtime/job/checkpoint_runner.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "runtime/job/take_checkpoint.h"

namespace ck::job {
namespace {
using boost::system::error_code;
constexpr std::chrono::milliseconds kProgressPeriod{200};
constexpr std::chrono::milliseconds kLeastTimeout{1};  // of one that waited for its turn

Error in_progress() {
  return make_error(ErrorKind::kTryAgain, "a checkpoint of this job is in progress",
                    "try again when it is done");
}
}  // namespace

// Written by the engine's threads, read by the main thread.
class CheckpointRunner::ProgressMeter : public image::Progress {
 public:
  void begin(const char* what, std::uint64_t total_bytes) override {
    what_ = what;
    total_ = total_bytes;
    done_ = 0;
  }
  void advance(std::uint64_t bytes) override { done_ += bytes; }
  wire::ProgressReply reply() const {
    const char* what = what_;
    wire::ProgressReply reply;
    reply.set_what(what);
    reply.set_done_bytes(done_);
    reply.set_total_bytes(total_);
    return reply;
  }

 private:
  std::atomic<const char*> what_{"checkpoint"};
  std::atomic<std::uint64_t> total_{0};
  std::atomic<std::uint64_t> done_{0};
};

CheckpointRunner::CheckpointRunner(boost::asio::io_context& io, const JobDir& job,
                                   const Ownership& ownership, CheckpointFunction checkpoint)
    : io_(io),
      job_(job),
      ownership_(ownership),
      checkpoint_(std::move(checkpoint)),
      waiting_deadline_(io),
      progress_timer_(io),
      meter_(std::make_unique<ProgressMeter>()),
      thread_([this] { thread_main(); }) {}

CheckpointRunner::~CheckpointRunner() {
  {
    std::lock_guard lock(mutex_);
    quit_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void CheckpointRunner::submit(CheckpointOrder order) {
  if (!running_) return start(std::move(order));
  if (waiting_ || running_->stop) return order.on_done(in_progress());
  waiting_deadline_.expires_after(order.settings.timeout);
  waiting_ = std::move(order);
  waiting_deadline_.async_wait([this](error_code error) {
    if (!error) refuse_waiting(in_progress());
  });
}

void CheckpointRunner::refuse_waiting(const Error& reason) {
  if (!waiting_) return;
  CheckpointOrder refused = std::move(*waiting_);
  waiting_.reset();
  refused.on_done(reason);
}

void CheckpointRunner::unhold(bool goes_on) {
  held_ = false;
  {
    std::lock_guard lock(mutex_);
    goes_on_ = goes_on;
  }
  wake_.notify_one();
}

// The engine's thread. A supervisor that ends takes the job with it.
bool CheckpointRunner::await_unhold(const CheckpointOutcome& outcome) {
  boost::asio::post(io_, [this, outcome] {
    held_ = true;
    running_->on_progress = {};
    running_->on_held(outcome);
  });
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return quit_ || goes_on_; });
  return std::exchange(goes_on_, std::nullopt).value_or(false);
}

void CheckpointRunner::start(CheckpointOrder order) {
  meter_->begin("freeze", 0);
  running_ = order;
  {
    std::lock_guard lock(mutex_);
    next_ = std::move(order);
  }
  wake_.notify_one();
  report_progress();
}

void CheckpointRunner::report_progress() {
  progress_timer_.expires_after(kProgressPeriod);
  progress_timer_.async_wait([this](error_code error) {
    if (error || !running_) return;
    if (running_->on_progress) running_->on_progress(meter_->reply());
    if (waiting_ && waiting_->on_progress) {
      wire::ProgressReply reply;
      reply.set_what("waiting for another checkpoint");
      waiting_->on_progress(reply);
    }
    report_progress();
  });
}

void CheckpointRunner::finished(Result<CheckpointOutcome> outcome) {
  progress_timer_.cancel();
  CheckpointOrder done = std::move(*running_);
  running_.reset();
  bool gone = outcome.ok() && outcome->stopped;
  done.on_done(std::move(outcome));
  if (gone) refuse_waiting(make_error(ErrorKind::kNotFound, "the job has just been stopped"));
  if (waiting_) {
    CheckpointOrder next = std::move(*waiting_);
    waiting_.reset();
    const auto left = waiting_deadline_.expiry() - std::chrono::steady_clock::now();
    next.settings.timeout =
        std::max(std::chrono::duration_cast<std::chrono::milliseconds>(left), kLeastTimeout);
    waiting_deadline_.cancel();
    if (!next.still_wanted || next.still_wanted()) start(std::move(next));
  }
  if (!running_ && on_idle_) on_idle_();
}

void CheckpointRunner::thread_main() {
  for (;;) {
    CheckpointOrder order;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return quit_ || next_; });
      if (quit_) return;
      order = std::move(*next_);
      next_.reset();
    }
    // In a thread of its own: when a tracer ends, the kernel detaches all that it traces, and there
    // is no other way to detach a thread that does not stop (ptrace(2)).
    std::shared_ptr<Result<CheckpointOutcome>> outcome;
    std::thread engine([&] {
      Hold hold;
      if (order.on_held)
        hold = [this](const CheckpointOutcome& held) { return await_unhold(held); };
      outcome = std::make_shared<Result<CheckpointOutcome>>(take_checkpoint(
          job_, ownership_, checkpoint_, order.settings, order.stop, hold, meter_.get()));
    });
    engine.join();
    boost::asio::post(io_, [this, outcome] { finished(std::move(*outcome)); });
  }
}

}  // namespace ck::job
