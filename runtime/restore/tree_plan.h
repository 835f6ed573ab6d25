// Who starts whom, and in which order, so that every restored process has the parent, the session
// and the process group that it had. Pure: image to steps.
//
// A session is joined by birth alone and left by setsid(2) alone, so a child that is in its
// parent's former session has to be born before the parent leaves it. A process whose parent, or
// whose session's or group's leader, has ended is born of a helper that takes the leader's id and
// ends again.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"

namespace ck::restore {

struct TreeNode {
  pid_t pid = 0;     // as the job knows it; 0: any
  int process = -1;  // its place in Manifest.processes,
  int ended = -1;    // or in Manifest.ended; neither: a helper
  int exit_signal = 0;
  bool operator==(const TreeNode&) const = default;
};

struct TreeStep {
  enum class Kind {
    kClone,        // actor starts node
    kCloneBeside,  // actor starts node as a child of its own parent (CLONE_PARENT)
    kSetSession,   // actor begins a session (and group) of its own
    kSetGroup,     // actor joins or begins `group`
    kControl,      // actor, which leads its session, takes the terminal that controls it
    kReaper,       // actor inherits orphans below it from now on
    kNoReaper,     // no longer
    kEnd,          // node, a helper, ends; actor collects it
    kEndBeside,    // the same, and the parent of all collects it
  };
  Kind kind;
  std::size_t actor = 0;  // in TreePlan.nodes
  std::size_t node = 0;
  pid_t group = 0;
  bool operator==(const TreeStep&) const = default;
};

struct TreePlan {
  std::vector<TreeNode> nodes;  // the job's root first; it is there when the steps begin
  std::vector<TreeStep> steps;
  bool operator==(const TreePlan&) const = default;
};

struct TreeOptions {
  // The root stays in the process group of the restart: it is the terminal's, whatever its number.
  bool group_of_restart = false;
};

Result<TreePlan> plan_tree(const image::Manifest& manifest, const TreeOptions& options = {});

std::string describe(const TreePlan& plan);  // a line for each step, for tests and logs

}  // namespace ck::restore
