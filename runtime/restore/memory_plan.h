// How the image's mappings are made: pure decisions, no system call. Any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/image/image.pb.h"

namespace ck::restore {

// MAP_DROPPABLE of Linux 6.11, which is newer than the headers we build with: a type, like
// MAP_PRIVATE.
inline constexpr int kMapDroppable = 0x08;

struct MapStep {
  const image::MappingRecord* mapping = nullptr;
  int first_protection = 0;  // while it is filled
  int flags = 0;             // of mmap(2)
  std::uint32_t object = 0;  // index plus 1; 0: none
  bool filled = false;       // chunks hold pages of it
};

// The steps for everything but vdso and vvar, by address. `manifest` must outlive the result.
std::vector<MapStep> plan_memory(const image::Manifest& manifest, std::uint32_t process);

// Protection differs at the end from that of the filling.
bool needs_protect(const MapStep& step);

}  // namespace ck::restore
