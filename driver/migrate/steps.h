// The steps of a hand-over (handover::Step) as they are done: in a process of their own, which is
// the job's owner's and which the daemon kills if it wants none of it any more. Each is a goal:
// what it names may be so already. Blocking; one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "driver/handover/handover.h"
#include "driver/migrate/steps.pb.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::migrate {

struct StepPlan {
  handover::Terms terms;
  std::string peer;         // the other host
  std::string jobs_folder;  // the owner's; empty: the usual one
  std::string folder;       // source: the job's
  std::string image;        // source: once it is captured; target: where it comes to, once checked
  double link = 0;          // source: bytes a second that it brings through; 0: not known
  std::chrono::nanoseconds round_trip{};  // source: of a question and its answer; 0: not known
  std::uint64_t memory = 0;               // source: bytes that the job has, about
  handover::wire::Offer offer;            // target, for kPreCheck
};

// At the source. Whether the job's files go along.
bool ships(const StepPlan& plan);

struct StepOrder {
  handover::Step step;
  std::uint64_t counter = 0;
  UniqueFd stream;  // kCopyRunning, kSendImage: to the process that runs receive_job() there
};

using Report = std::function<void(const wire::Progress&)>;

Result<wire::Result> do_source_step(const StepPlan& plan, StepOrder order, const Report& report);
Result<wire::Result> do_target_step(const StepPlan& plan, const StepOrder& order);

// Takes what the steps of the source send, until they end the stream.
Status receive_job(const StepPlan& plan, UniqueFd stream);

// With what only a process of the owner can tell: the usual folder of jobs, and where an image
// comes to.
Result<StepPlan> completed(StepPlan plan);

// Where the image of a hand-over comes to, in the owner's folder of jobs.
std::string incoming_path(const std::string& jobs_folder, const std::string& handover);
// The folder of jobs that the image of a hand-over is below, on either side.
std::string jobs_folder_above(const std::string& image);

}  // namespace ck::driver::migrate
