// A job that has moved to another host, seen from where it was started.
#pragma once

#include <string>

namespace ck::tools {

// Waits until the job has ended there, or wherever it goes, and returns its exit status; `otherwise`
// if that cannot be known. SIGTERM and the like end the waiting, not the job. Main thread only, once
// there is no other.
int follow_moved(const char* tool, const std::string& job_id, const std::string& name,
                 const std::string& host, int otherwise);

}  // namespace ck::tools
