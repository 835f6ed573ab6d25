// What a mapping is, for the image: pure decisions over what /proc/PID/smaps says. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/proc/maps.h"

namespace ck::memory {

enum class Class {
  kSkip,            // the kernel's own, or the control area
  kAnonymous,       // private pages, read from the twin
  kPrivateFile,     // a file by path, or a memfd whose content the image has by a descriptor; pages
                    // that were written are read from the twin
  kSharedFile,      // a file by path; nothing to read
  kSharedMemory,    // MAP_SHARED | MAP_ANONYMOUS, a memfd's: content belongs to an object
  kSystemV,         // an attached segment of System V shared memory: content belongs to an object
  kDeletedPrivate,  // a private mapping of an unlinked file or memfd: all of it is read, as
                    // anonymous memory
  kDeletedShared,   // a shared mapping of an unlinked file: content belongs to an object
  kIoUring,         // of an io_uring: content belongs to the open file
  kVdso,
  kVvar,
  kUnsupported,
};

struct Classified {
  Class kind = Class::kSkip;
  std::string reason;  // kUnsupported only
};

// `area_inode`: of the control area's file.
Classified classify(const proc::Mapping& mapping, ino_t area_inode);

bool needs_object(Class kind);

// A segment is attached as a whole (shmat(2)); what was unmapped of it cannot be so again.
Status check_attachments(const image::ProcessRecord& process, const image::Manifest& manifest);

// Everything of the record but the object.
image::MappingRecord to_record(const proc::Mapping& mapping, Class kind);

}  // namespace ck::memory
