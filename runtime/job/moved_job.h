// A job that goes on at another host, where nothing of its supervisor is left here to see to that.
// Main thread only.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/job/incarnation.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

// What is left of the job here is killed, and its folder says that it has moved; nothing is done if
// it says so already, or that a newer life of the job is another host's. An Error: its owner lives,
// or is another host's.
Status note_move(const JobDir& job, const Incarnation& move);

// The job that `target` means (a name, an id, or a pid of the program of a dead supervisor).
Status note_move(const std::string& target, const std::string& jobs_folder,
                 const Incarnation& move);

}  // namespace ck::job
