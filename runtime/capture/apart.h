// What tells a thread apart from its process, or a process from its job, in ways that an image does
// not keep: credentials, a descriptor table or folders of its own, namespaces that the job has
// made. Such a job is refused. Any thread.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>

#include "runtime/abi/control_area.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/proc/control_area.h"
#include "runtime/proc/status.h"

namespace ck::capture {

using Namespaces = std::array<std::uint32_t, abi::kNamespaces>;

// Writes down in the area which namespaces a process of the job has, before the program runs.
Status note_namespaces(const ControlArea& area, RealPid process);
Namespaces noted_namespaces(const abi::AreaHeader& header);

// Why it is refused: "has other user ids than …". Pure.
std::optional<std::string> other_credentials(const proc::ProcessStatus& leader,
                                             const proc::ProcessStatus& thread);

struct Apart {
  RealPid thread;
  std::string reason;  // "is in a network namespace that the job has made"
};
// The first of a process's threads that is; the others are compared with `threads[0]`. Certain only
// while the threads stand still: one that is just ending may be found to be.
std::optional<Apart> find_apart(std::span<const RealPid> threads, const Namespaces& expected);

// What a child shares with its parent by clone(2), other than as a thread: "its memory (clone with
// CLONE_VM)"; or nothing.
std::optional<std::string> shared_with(RealPid child, RealPid parent);

}  // namespace ck::capture
