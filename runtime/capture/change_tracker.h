// Which pages of a job have changed since an image of it was taken, so that the next image needs to
// hold only those. The kernel tells: pages are write-protected by a userfaultfd in asynchronous
// mode (Linux 6.7), which costs the program a fault of about 1 us at its first write to each and
// nothing else. Lives as long as somebody wants to know. Engine thread only; processes must be
// frozen.
//
// What is not known counts as changed: mappings that are new, were moved or cannot be protected,
// processes that are new, have called execve, or have memory that devices write to (io_uring).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "runtime/capture/freeze.h"
#include "runtime/image/format.h"
#include "runtime/proc/pagemap.h"

namespace ck::capture {

class ChangeTracker {
 public:
  // Since the image with this manifest, if its checkpoint was the last one that called protect().
  bool knows(const image::Hash128& image) const { return image_ == image; }
  // The process's place in that image; nothing: it was not in it.
  std::optional<std::uint32_t> index_of(RealPid process) const;

  // Of a range of a process that was in that image; nothing: not known.
  static Result<std::optional<std::vector<proc::PageRun>>> changed(const proc::PageScan& scan,
                                                                   proc::PageRun range);

  // An image is being taken, in which the process will have that place: what changes from now on is
  // noted. What changed since the image before is not known any more.
  Status protect(FrozenProcess& process, std::uint32_t index, const proc::PageScan& scan,
                 const std::vector<proc::PageRun>& ranges);
  // That image is there, with this manifest. Processes for which protect() was not called are
  // forgotten.
  void settle(const image::Hash128& image);
  void forget();  // all; the processes run as before

 private:
  struct Tracked {
    UniqueFd userfault;
    std::uint32_t index = 0;
  };
  std::optional<image::Hash128> image_;
  std::map<pid_t, Tracked> processes_;
  std::map<pid_t, Tracked> next_;  // of the image that is being taken
};

}  // namespace ck::capture
