// Checkpoints a job: freeze, capture, twin, thaw, write. The job runs on when this returns, whether
// it succeeded or not. Supervisor's engine thread only (the one thread that traces).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/image/writer.h"
#include "runtime/proc/control_area.h"
#include "runtime/resources/tcp_policy.h"

namespace ck::resources {
struct OwnTerminal;
}

namespace ck::capture {

class ChangeTracker;
class Twin;

struct CheckpointOptions {
  std::string image_path;  // must not exist
  image::WriterOptions writer;
  image::JobRecord job;                      // copied into the manifest
  std::chrono::milliseconds timeout{30000};  // for the freeze, and for what passes
  std::function<Status()> before_rename;     // the incarnation check; see Writer::commit
  // ckpt --stop: after the freeze the job never runs again; it is killed when the image is safe,
  // and goes on if the checkpoint fails.
  bool stop = false;
  // With stop: asked once the image is safe, while the job stands still, for as long as it likes.
  // True: the job goes on after all. Should this process die meanwhile, the job dies with it.
  std::function<bool(const image::WriteReport&)> goes_on;
  // Processes without the agent are left out, with all below them; else they are an Error of kind
  // kRefused.
  bool allow_uncontrolled = false;
  resources::TcpPolicy tcp = resources::TcpPolicy::kReset;
  const resources::OwnTerminal* own_terminal = nullptr;  // that ckrun made for the job
  // The job goes on, and its image is still being written from these copies of its processes. Not
  // called if no freeze has succeeded. May be empty.
  std::function<void(const std::set<pid_t>& copies)> on_thawed;
  image::Progress* progress = nullptr;
  // For an image on top of another (image::WriterOptions::basis): knows what has changed since.
  // Null: all is read. `track`: also notes what changes from now on; else the noting ends.
  ChangeTracker* tracker = nullptr;
  bool track = false;
};

struct CheckpointReport {
  std::chrono::nanoseconds pause{};  // first thread stopped to last thread released, or to the kill
  std::chrono::nanoseconds total{};
  image::WriteReport image;
  bool ended = false;  // the job was killed
  // With goes_on: who still has memory of what was killed, so that it ends soon. They end when they
  // are destroyed.
  std::vector<std::shared_ptr<const Twin>> heirs;
  std::vector<std::string> left_out;  // a line for each process
};

Result<CheckpointReport> checkpoint(RealPid root, ControlArea& area,
                                    const CheckpointOptions& options);

// What in the job would not survive a restart here. Stops nothing; may be called from any process
// of the same user. The job changes while it is looked at: a finding is one that every look has
// made.
struct Finding {
  RealPid pid;
  std::string object;  // "fd 7 -> socket:[1234]"
  std::string reason;
  std::string advice;
  bool fatal = true;  // false: survives, with a difference the user should know
  bool operator==(const Finding&) const = default;
};
Result<std::vector<Finding>> survey(RealPid root);

}  // namespace ck::capture
