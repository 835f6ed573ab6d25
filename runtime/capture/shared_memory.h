// Memory that is shared by its mappings alone (MAP_SHARED | MAP_ANONYMOUS, unlinked files that no
// descriptor leads to): its content, gathered from all mappings of all frozen processes of the job
// and copied while they are frozen. Engine thread only.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "runtime/capture/freeze.h"
#include "runtime/memory/objects.h"
#include "runtime/memory/read_memory.h"

namespace ck::capture {

class SharedMemory {
 public:
  explicit SharedMemory(memory::ObjectTable& objects) : objects_(objects) {}

  // One mapping; returns its object's index plus 1. An object whose content is known by a
  // descriptor is left to that.
  std::uint32_t add(FrozenProcess& process, const proc::Mapping& mapping);
  // When all mappings have been added.
  Status freeze();

 private:
  struct Part {
    FrozenProcess* process;
    proc::Mapping mapping;
  };
  class Window;
  Status freeze_object(std::uint32_t object, const std::vector<Part>& parts);
  Result<memory::MemorySource*> source_of(const FrozenProcess& process);

  memory::ObjectTable& objects_;
  std::map<std::uint32_t, std::vector<Part>> parts_;  // by object
  std::map<pid_t, std::unique_ptr<memory::MemorySource>> sources_;
};

}  // namespace ck::capture
