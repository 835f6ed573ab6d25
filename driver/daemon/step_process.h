// A step of a hand-over: a child process that is the job's owner, since it opens the owner's files
// and may take long. The daemon's thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "driver/daemon/task.h"
#include "driver/daemon/users.h"
#include "driver/migrate/steps.h"
#include "runtime/base/unique_fd.h"

namespace ck::daemon {

struct StepWork {
  std::string what;                 // for errors: "send the image of job 3f2a"
  std::optional<User> user;         // whom it becomes; none: it is ours already
  int stream = -1;                  // a descriptor that it keeps, or none
  int lock = -1;                    // another: as long as any of these lives, others can tell
  milliseconds patience{3600'000};  // without a word of it; then it is killed
  std::function<Result<driver::migrate::wire::Result>(const driver::migrate::Report&)> run;
  std::function<void(const driver::migrate::wire::Progress&)> on_progress;  // in the daemon
};

// A handle of what runs: whoever holds it can end it.
class StepProcess {
 public:
  ~StepProcess() { kill(); }
  void kill();  // what it was about fails
  bool killed() const { return killed_; }

 private:
  friend class StepPatience;
  friend Task<Result<driver::migrate::wire::Result>> run_step(std::shared_ptr<StepProcess> handle,
                                                              StepWork work, UniqueFd stream);
  pid_t pid_ = 0;
  bool killed_ = false;
};

// Of a step that only looks at, or tells, what is there.
constexpr milliseconds kQuickStep{30'000};

// Returns when the child has ended, whatever the reason. A user can stop a process of theirs: the
// daemon never waits for one that does not end by itself. It dies with the daemon. `stream` (of
// `work`) is the child's alone once it has begun: else nobody would hear that it has closed it.
Task<Result<driver::migrate::wire::Result>> run_step(std::shared_ptr<StepProcess> handle,
                                                     StepWork work, UniqueFd stream = {});
}  // namespace ck::daemon
