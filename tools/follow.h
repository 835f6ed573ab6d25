// A job that has moved to another host, seen from where it was started.
#pragma once

#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/run_job.h"
#include "runtime/job/terminal_client.h"

namespace ck::tools {

// Waits until the job has ended there, or wherever it goes, and returns its exit status;
// `otherwise` if that cannot be known. SIGTERM and the like end the waiting, not the job. Main
// thread only, once there is no other.
int follow_moved(const char* tool, const std::string& job_id, const std::string& name,
                 const std::string& host, int otherwise);

// Its terminal there, for who has the job's before his eyes and will go on with it.
std::unique_ptr<job::JobTerminal> terminal_elsewhere(const job::JobInfo& job,
                                                     const job::TerminalPlace& place,
                                                     int otherwise);

// ckpt attach of a job that runs on another host.
Result<int> attach_elsewhere(const job::JobInfo& job, const std::string& host, job::Redraw how);

}  // namespace ck::tools
