// The file `held` in a job's folder: a copy of the job is restored, and stands still under this
// process (ckpt restart --hold). It has neither the job's lock nor an incarnation, for the job may
// still be another's, on another host even. One for a job. Main thread only.
#pragma once

#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/incarnation.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

// The right to hold a copy. kTryAgain if somebody does.
Result<UniqueFd> lock_held(const JobDir& job);

class HeldMark {
 public:
  // This process.
  static Result<HeldMark> make(const JobDir& job);
  HeldMark(HeldMark&&) = default;
  ~HeldMark();  // removes the file

 private:
  HeldMark(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  UniqueFd lock_;
};

// The process of this host that holds a copy of the job, if one does; a file of one that has died
// says nothing.
Result<std::optional<Incarnation>> living_holder(const JobDir& job);

}  // namespace ck::job
