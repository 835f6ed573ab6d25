// Files below /dev/shm: the memory that shm_open(3) and sem_open(3) share by name. A restart puts
// them back as they were at the checkpoint, for what is in them is the job's state and not data on
// a disk: half of it may be in the job's private memory. Any thread.
#pragma once

#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"

namespace ck::memory {

bool is_posix_shared_memory(std::string_view path);

// Whether the image has the content of such a file (index plus 1): then it is put back.
bool keeps_posix_shared_memory(const image::ObjectRecord& object);

// The file, with the size of the record and no content; made again where it is missing. An empty
// descriptor where it is to be left as it is: it is there, and the job only reads it.
Result<UniqueFd> put_back_file(const image::Manifest& manifest, std::uint32_t index);

}  // namespace ck::memory
