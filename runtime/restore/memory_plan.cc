#include "runtime/restore/memory_plan.h"

#include <sys/mman.h>

#include <algorithm>

#include "runtime/image/writer.h"

namespace ck::restore {

namespace {

int map_type(const image::MappingRecord& mapping) {
  if (mapping.droppable()) return kMapDroppable;
  return mapping.shared() ? MAP_SHARED : MAP_PRIVATE;
}

int map_flags(const image::MappingRecord& mapping) {
  int flags = MAP_FIXED_NOREPLACE | map_type(mapping);
  if (mapping.backing() == image::BACKING_ANONYMOUS) flags |= MAP_ANONYMOUS;
  if (mapping.grows_down()) flags |= MAP_GROWSDOWN | MAP_STACK;
  if (mapping.no_reserve()) flags |= MAP_NORESERVE;
  if (mapping.huge_tlb()) flags |= MAP_HUGETLB;
  return flags;
}

void mark_filled(std::vector<MapStep>& steps, std::uint64_t begin, std::uint64_t length) {
  auto step = std::upper_bound(
      steps.begin(), steps.end(), begin,
      [](std::uint64_t address, const MapStep& s) { return address < s.mapping->end(); });
  for (; step != steps.end() && step->mapping->begin() < begin + length; ++step)
    step->filled = true;
}

}  // namespace

std::vector<MapStep> plan_memory(const image::Manifest& manifest, std::uint32_t process) {
  std::vector<MapStep> steps;
  for (const image::MappingRecord& mapping :
       manifest.processes(static_cast<int>(process)).mappings()) {
    if (mapping.backing() != image::BACKING_ANONYMOUS && mapping.backing() != image::BACKING_FILE)
      continue;
    MapStep step;
    step.mapping = &mapping;
    step.flags = map_flags(mapping);
    step.object = mapping.object();
    step.first_protection = static_cast<int>(mapping.protection());
    steps.push_back(step);
  }
  const image::StreamId stream{image::StreamId::Kind::kMemory, process};
  for (const image::ChunkRecord& chunk : manifest.chunks()) {
    if (!(image::StreamId::unpack(chunk.stream()) == stream)) continue;
    for (int i = 0; i < chunk.run_begin_size(); ++i)
      mark_filled(steps, chunk.run_begin(i), chunk.run_length(i));
  }
  for (MapStep& step : steps)
    if (step.filled) step.first_protection |= PROT_READ | PROT_WRITE;
  return steps;
}

bool needs_protect(const MapStep& step) {
  return step.first_protection != static_cast<int>(step.mapping->protection());
}

}  // namespace ck::restore
