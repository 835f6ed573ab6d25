// The engine's side of the table of virtual ids (abi/ids.h). Only a restart writes it, before the
// job runs. Supervisor's main thread only.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/proc/control_area.h"

namespace ck::proc {

// From here on the area's ids are virtual: ControlArea::real_id() and virtual_id() look them up.
void begin_virtual_ids(const ControlArea& area);

// The job knows as `known_as` what the kernel calls `real`. Where either number is bound to another
// already, the first one holds: kAlreadyBound.
enum class Bound { kNow, kAlreadyBound };
Result<Bound> bind_id(const ControlArea& area, pid_t known_as, RealPid real);

// The job knows a System V object as `known_as` and by `key`; 0: by none, or by the one that the
// kernel knows. kRefused: there are too many of them.
Status bind_system_v(const ControlArea& area, abi::SystemVFamily family, int known_as, int real,
                     int key);

// The id in a siginfo_t, as the program sees it and as the kernel has it.
void make_virtual(const ControlArea& area, std::span<std::byte> siginfo);
void make_real(const ControlArea& area, std::span<std::byte> siginfo);

// A process that was collected here: its number may be another's soon. While the job runs, too.
void forget_id(abi::AreaHeader& header, pid_t real);

// Numbers for children whose own is taken. After all bind_id().
Status add_spare_ids(const ControlArea& area);

}  // namespace ck::proc
