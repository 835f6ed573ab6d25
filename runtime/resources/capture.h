// Captures the descriptors of one parked process. Engine thread only.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/memory/objects.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/pidfd.h"
#include "runtime/proc/stat.h"
#include "runtime/resources/kind.h"

namespace ck::resources {

struct CaptureContext {
  RealPid pid;
  proc::Mailbox* mailbox = nullptr;  // of a parked thread
  std::vector<int> skip;             // descriptors that are none of the program's
};

// Adds the process's descriptors and locks to `process`, its open files to `manifest`, files and
// their contents to `objects`. Before mappings are captured: contents of unlinked files are found
// by descriptor here. The first thing that cannot be kept is an Error of kind kRefused.
Status capture_descriptors(const CaptureContext& context, image::ProcessRecord& process,
                           image::Manifest& manifest, memory::ObjectTable& objects);

// What would be refused, or not come back as it was, told from outside while the process runs.
struct Objection {
  std::string object;  // "fd 7 -> socket:[1234]"
  std::string reason;
  std::string advice;
  bool fatal = true;
};
Result<std::vector<Objection>> classify(RealPid pid);

// What kinds see of a capture.
class CaptureSession {
 public:
  CaptureSession(const CaptureContext& context, memory::ObjectTable& object_table, bool is_survey)
      : context(context), objects(object_table), survey(is_survey) {}

  Status collect(std::uint32_t first_index);    // fills files
  const OpenFile* by_descriptor(int fd) const;  // the open file behind a descriptor of the process
  // Whether the file is the one behind descriptor 0, 1 or 2 (or another end of the same pipe,
  // another open of the same terminal); which, or -1.
  int standard_stream(const OpenFile& file) const;

  const CaptureContext& context;
  memory::ObjectTable& objects;
  const bool survey;
  proc::ProcessStat stat;
  std::vector<OpenFile> files;
  std::map<int, bool> close_on_exec;  // by descriptor
  std::vector<Objection> notes;       // differences that are not fatal

 private:
  // Open files that look alike, in the kernel's order; `place`: where one more belongs.
  struct Group {
    std::vector<std::size_t> members;
    std::size_t place = 0;
  };
  Result<OpenFile*> find_same(const OpenFile& file, Group& group);
  Status add(OpenFile file, const proc::PidFd& process, Group& group);
  std::uint32_t first_index_ = 0;
};

}  // namespace ck::resources
