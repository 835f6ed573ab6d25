// Files and folders below /proc and /sys: nothing of them is in an image but their names.
#pragma once

#include <string>

#include "runtime/resources/capture.h"

namespace ck::resources {

bool is_kernel_file(const OpenFile& file);

// What a restart has to open: "/proc/123/maps" is the same process's own under another number then.
// An Error that_passes() where it is about a process outside of the job.
Result<std::string> kernel_file_name(const CaptureSession& session, const OpenFile& file);
// Its path as the kernel has it, where ids are virtual.
std::string kernel_file_path(const std::string& name, const ControlArea& area);

}  // namespace ck::resources
