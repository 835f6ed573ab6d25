// Who owns a job: one life of it, under one supervisor. The folder's `incarnation` file names the
// newest one; a supervisor that finds another there has been superseded and must change nothing.
// Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/job/host.h"

namespace ck::job {

struct Incarnation {
  std::uint64_t counter = 0;  // 1 for a job's first life
  Host host;
  RealPid supervisor;
  std::uint64_t supervisor_start = 0;
  RealPid root;  // the job's root process, once there is one
  std::uint64_t root_start = 0;
  std::string area;    // path of the control area that it uses
  RealPid keeper;      // of its own terminal, if it has one
  bool ended = false;  // in good order: nothing of this life is left

  bool same_life(const Incarnation& other) const;
  // No life, but word of one: the job has been handed over to `host`, and `counter` is that of its
  // life there. Of the host only the name is known.
  bool is_move() const { return !supervisor; }
  bool is_move_to(const Host& there) const { return is_move() && host.name == there.name; }
  std::string describe() const;  // "incarnation 3 (process 1234 on host a)"
};

Incarnation move_to(const std::string& host, std::uint64_t counter);

std::string to_json(const Incarnation& incarnation);
Result<Incarnation> parse_incarnation(const std::string& json);

// The same file under another name may be there too: `held`, whose counter is 0 (held_mark.h).
Result<std::optional<Incarnation>> read_incarnation_file(const std::string& path);
// Nothing, if the folder has none yet.
Result<std::optional<Incarnation>> read_incarnation(const std::string& folder);

enum class OwnerState {
  kGone,  // nothing of it is left, as far as this host can tell for certain
  kSupervisorLives,
  kProgramLives,  // the supervisor is dead, the program is not
  kUnknown,       // another host's
};
// To be asked while holding the folder's lock: a supervisor on this kernel whose pid cannot be seen
// from here (another pid namespace) is known dead by that.
OwnerState owner_state(const Incarnation& incarnation, const Host& here);

}  // namespace ck::job
