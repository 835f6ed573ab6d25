// What runs between clone and exec in a child of a process that may have threads: system calls
// only, no allocation. Everything it needs is prepared beforehand.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "runtime/restore/spawn.h"

namespace ck::restore {

struct ChildPlan {
  int area_fd = -1;
  int channel_fd = -1;
  int restorer_fd = -1;
  HelperDescriptors helpers;
  bool keep_capabilities = false;  // an ordinary user's, inside a user namespace
  std::string hostname;            // that the job keeps, where it is not this host's
  char slot_text[16] = {};
  char area_text[16] = {};
};

// Of all processes of the image; -1: there is none.
int highest_descriptor(const image::Manifest& manifest);

Result<ChildPlan> plan_child(const image::Manifest& manifest, const ControlArea& area,
                             int restorer_fd, int channel_fd, unsigned slot);

// Never returns: executes the restorer, or exits with 249.
[[noreturn]] void become_restorer(const ChildPlan& plan);

// clone3 with the id that the child shall have (0: any). Returns as fork(2) does.
pid_t clone_with_id(std::uint64_t flags, pid_t wanted);

// Of the namespaces that the job must have whatever becomes of its ids.
std::uint64_t clone_flags(const ChildPlan& plan);

// Whether the job belongs to the session of the restart: that has a controlling terminal, and the
// job none of its own.
bool joins_session(const image::Manifest& manifest);

// Whether the root stays in the process group of the restart: it was in that of its start.
bool joins_group(const image::Manifest& manifest);

// The terminal that ckrun made for the job, or null.
const image::TerminalRecord* own_terminal(const image::Manifest& manifest);

// Offsets for a time namespace in which the job's clocks go on from where the image has them, as
// text for /proc/self/timens_offsets. See time_namespaces(7).
std::string time_offsets(const image::ClockRecord& clocks);

}  // namespace ck::restore
