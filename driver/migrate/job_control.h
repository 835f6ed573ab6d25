// What both ends of a hand-over do with a job that is here. Blocking; in a process of its owner.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/unhold.h"

namespace ck::driver::migrate {

struct Life {
  enum class Kind {
    kNone,           // nothing of it runs
    kRuns,           // under its supervisor
    kCheckpointing,  // runs, or will be held in a moment
    kHeld,           // frozen, or restored and not yet let run
    kInAdvance,      // only memory of it is here: see put_in_advance()
  };
  Kind kind = Kind::kNone;
  std::uint64_t counter = 0;  // of the newest incarnation in the folder
  bool finished = false;
};
Result<Life> life_of(const job::JobDir& job);

// The same once no checkpoint is being taken; kTryAgain if that takes too long.
Result<Life> settled_life_of(const job::JobDir& job);

// As `ckpt unhold`.
Status unhold(const job::JobDir& job, const std::string& jobs_folder,
              const job::UnholdOrder& order);
std::vector<std::string> counter_option(std::uint64_t counter);

// Brings the job back from `image`; with `hold`: as far as that none of it has run.
Status restart(const job::JobDir& job, const std::string& jobs_folder, const std::string& image,
               const std::vector<std::string>& options);

// Memory in advance, for a job that runs elsewhere: that of `image` is put in place by a process of
// its own, or takes the place of what such a process has. Returns when it is there.
Status put_in_advance(const job::JobDir& job, const std::string& jobs_folder,
                      const std::string& image, const std::vector<std::string>& options);
// There is such memory. As restart() with hold, if this last image fits to it; else false, and
// there is none any more.
Result<bool> hold_in_advance(const job::JobDir& job, const std::string& image);
Status end_in_advance(const job::JobDir& job);

// By the load: what its user has suspended is left alone, both times. For `lease`, unless it is
// said again.
Status suspend(const job::JobDir& job, std::chrono::milliseconds lease);
Status resume(const job::JobDir& job);

// As `ckpt --stop`.
Status stop(const job::JobDir& job, const std::string& jobs_folder);

// The job of that id; nothing if it is not known here.
Result<std::optional<job::JobDir>> find_job(const std::string& jobs_folder, const std::string& id);

// An image that is not there (any more) is removed already.
Status remove_image(const std::string& path);
// And what it alone was on top of.
Status remove_generation(const std::string& path);

}  // namespace ck::driver::migrate
