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
Error is_held() {
  return make_error(ErrorKind::kTryAgain, "the job is held", "ckpt unhold lets it go on");
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
  const bool served = order.any_will_do && !waiting_.empty();
  if (held_) return order.on_done(is_held());
  if (running_->stop || served || waiting_.size() == kMostWaiting)
    return order.on_done(in_progress());
  const std::uint64_t number = ++last_number_;
  const auto timeout = order.settings.timeout;
  waiting_.push_back({number, std::move(order), boost::asio::steady_timer(io_, timeout)});
  waiting_.back().deadline.async_wait([this, number](error_code error) {
    if (!error) refuse_late(number);
  });
}

// A timer that has gone off cannot be cancelled any more: it may be about one that is served.
void CheckpointRunner::refuse_late(std::uint64_t number) {
  const auto late = std::find_if(waiting_.begin(), waiting_.end(),
                                 [number](const Waiting& one) { return one.number == number; });
  if (late == waiting_.end()) return;
  const CheckpointOrder order = std::move(late->order);
  waiting_.erase(late);
  order.on_done(in_progress());
}

void CheckpointRunner::refuse_waiting(const Error& reason) {
  std::list<Waiting> refused;
  refused.swap(waiting_);
  for (Waiting& one : refused) {
    one.deadline.cancel();
    one.order.on_done(reason);
  }
}

// One that ends the job comes before all others; those whose askers have gone do not count.
std::optional<CheckpointOrder> CheckpointRunner::take_waiting() {
  waiting_.remove_if(
      [](const Waiting& one) { return one.order.still_wanted && !one.order.still_wanted(); });
  if (waiting_.empty()) return {};
  auto next = std::find_if(waiting_.begin(), waiting_.end(),
                           [](const Waiting& one) { return one.order.stop; });
  if (next == waiting_.end()) next = waiting_.begin();
  CheckpointOrder order = std::move(next->order);
  const auto left = next->deadline.expiry() - std::chrono::steady_clock::now();
  order.settings.timeout =
      std::max(std::chrono::duration_cast<std::chrono::milliseconds>(left), kLeastTimeout);
  waiting_.erase(next);
  return order;
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
    wire::ProgressReply reply;
    reply.set_what("waiting for another checkpoint");
    for (const Waiting& one : waiting_)
      if (one.order.on_progress) one.order.on_progress(reply);
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
  if (std::optional<CheckpointOrder> next = take_waiting()) start(std::move(*next));
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
      outcome = std::make_shared<Result<CheckpointOutcome>>(
          take_checkpoint(job_, ownership_, checkpoint_, order, hold, meter_.get()));
    });
    engine.join();
    boost::asio::post(io_, [this, outcome] { finished(std::move(*outcome)); });
  }
}

}  // namespace ck::job
