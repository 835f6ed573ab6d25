// Carries out a TreePlan: each process of the job is cloned by the one that the plan says, serves a
// slot of its own, and is in its session and group. All are still in the restorer's camp.
// Main thread only.
#pragma once

#include <functional>
#include <vector>

#include "runtime/proc/control_area.h"
#include "runtime/proc/mailbox.h"
#include "runtime/restore/tree_plan.h"

namespace ck::restore {

class Tree {
 public:
  // `root`: a mailbox in the camp, of the restorer that was started as the root process.
  // `same_ids`: the job's pids are ours (no pid namespace in between).
  Tree(const image::Manifest& manifest, TreePlan plan, const ControlArea& area,
       const proc::Mailbox& root, bool same_ids);
  ~Tree();  // nothing half-restored stays, unless release() was called

  struct Hooks {
    // A process of the image is about to start another (indices there).
    std::function<Status(int starter, int process)> before_start;
    // A process leads its session: it takes the terminal that controls it.
    std::function<Status(proc::Mailbox& leader, int process)> take_terminal;
  };
  Status build(Hooks hooks);
  // Whose memory a process has: its own since set_own_memory(), else that which its starter had
  // when it was started; -1: none.
  int memory_of(int process) const { return memory_of_[static_cast<std::size_t>(process)]; }
  void set_own_memory(int process) { memory_of_[static_cast<std::size_t>(process)] = process; }
  // Those that had ended end again, with the status that they had left for their parents.
  Status end_ended();
  void release() { released_ = true; }

  unsigned first_slot(int process) const { return first_slots_[static_cast<std::size_t>(process)]; }
  // Of the leader, in the camp.
  proc::Mailbox box(int process) const;
  RealPid pid(int process) const { return live_[static_cast<std::size_t>(process)].pid; }

  // Slots that a job of this image takes: one for each thread, and one for each helper. Once the
  // tree is built, nobody uses the last one.
  static std::size_t slots(const image::Manifest& manifest);

 private:
  struct Live {
    RealPid pid;
    pid_t inner = 0;
    unsigned slot = 0;
  };
  Status carry_out(const TreeStep& step);
  Status prepare(const TreeStep& step);
  Status start(const TreeStep& step);
  Status end_helper(const TreeStep& step);
  Status end_as(std::size_t node, const image::EndedRecord& record);
  proc::Mailbox box_of(std::size_t node) const;

  const image::Manifest& manifest_;
  TreePlan plan_;
  const ControlArea& area_;
  proc::Mailbox::Address area_address_;
  RealPid reaper_;  // the root's parent
  bool same_ids_;
  bool released_ = false;
  std::vector<unsigned> first_slots_;  // by process
  std::vector<Live> live_;             // by node
  std::vector<int> memory_of_;         // by node
  Hooks hooks_;
};

}  // namespace ck::restore
