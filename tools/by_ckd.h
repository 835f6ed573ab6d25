// ckrun as ckd starts it for the `ckrun --on` of another host: what it is told, and what it tells
// (driver/migrate/start_step.h is the other end). Main thread only.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/run_job.h"

namespace ck::tools {

class ByCkd {
 public:
  // Takes the descriptors that are between the two.
  static Result<ByCkd> take();

  // The job is the user's over there.
  void fill(job::StartRequest& request);
  // Why nothing runs; no more than the first is heard.
  void fail(const Error& error, int exit_status);

 private:
  ByCkd(UniqueFd report, UniqueFd listens)
      : report_(std::move(report)), listens_(std::move(listens)) {}
  void started(const job::JobDir& job, RealPid keeper);
  Result<job::ClientOutcome> serve(UniqueFd connection, RealPid keeper, const std::string& folder);

  UniqueFd report_, listens_;
};

}  // namespace ck::tools
