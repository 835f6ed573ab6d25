// What starting and restarting a job have in common. Main thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/job/job_dir.h"
#include "runtime/job/keeper_link.h"
#include "runtime/job/ownership.h"
#include "runtime/job/run_job.h"
#include "runtime/job/shared_terminal.h"
#include "runtime/proc/control_area.h"
#include "runtime/process/launch.h"

namespace ck::job {

// In the first folder that has room for the first `reserved` of its slots (ControlArea::reserve).
Result<ControlArea> make_area(const JobDir& job, const std::string& agent, unsigned slots,
                              unsigned reserved, int request_signal);

// The path of the control area of the job that this process itself is part of; empty: of none.
std::string area_of_own_job();
// Fails there: what a job starts is in its own checkpoints, and cannot be another's.
Status refuse_in_a_job();

// Of a supervisor that has ended: what `on_moved` says, if the job has moved.
int status_if_moved(const JobDir& job, const OnMoved& on_moved, int status);
// For a client: the terminal of a job in that folder, if it has moved or been brought back.
Elsewhere terminal_if_moved(const std::string& jobs_folder, const TerminalOf& terminal_of);

// Clients find this process from now on, so it comes before anything they could see of the job.
Result<UniqueFd> open_own_control_socket();

// Orphans of the job become children of this process.
Status become_subreaper();

// Watches over the job until it has ended (`root_status`: the root has, earlier, with this wait
// status); returns this process's exit status. An Error means that
// the supervisor could not be set up; the program runs on.
Result<int> run_supervisor(const char* tool, const JobDir& job, Ownership& ownership,
                           process::RootProcess& root, UniqueFd control_socket, ControlArea& area,
                           const Settings& settings, std::optional<int> root_status = {},
                           const KeeperLink* terminal = nullptr, SharedTerminal* shared = nullptr);

// The same, but the program is ended if the supervisor cannot be set up.
Result<int> supervise(const char* tool, const JobDir& job, Ownership& ownership,
                      process::RootProcess& root, UniqueFd control_socket, ControlArea& area,
                      const Settings& settings, std::optional<int> root_status = {},
                      const KeeperLink* terminal = nullptr, SharedTerminal* shared = nullptr);

}  // namespace ck::job
