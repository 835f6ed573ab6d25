#include "runtime/restore/inherited_memory.h"

#include <algorithm>

namespace ck::restore {

namespace {

using image::MappingRecord;

AddressRange range_of(const MapStep& step) {
  return {step.mapping->begin(), step.mapping->end()};
}

AddressRange overlap(const AddressRange& a, const AddressRange& b) {
  return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

bool is_empty(const AddressRange& range) {
  return range.begin >= range.end;
}

// The same memory, apart from where it begins and ends and how it is protected.
bool is_alike(const MapStep& a, const MapStep& b) {
  constexpr std::uint32_t kPageSize = image::ADVICE_HUGEPAGE | image::ADVICE_NOHUGEPAGE;
  if (a.flags != b.flags || a.object != b.object) return false;
  if ((a.mapping->advice() ^ b.mapping->advice()) & kPageSize) return false;
  if (a.mapping->backing() == image::BACKING_ANONYMOUS) return true;
  return a.mapping->offset() - a.mapping->begin() == b.mapping->offset() - b.mapping->begin() &&
         a.mapping->writable_file() == b.mapping->writable_file();
}

// Both by address; the first's parts that are not in any of the second.
std::vector<AddressRange> without(const std::vector<AddressRange>& ranges,
                                  const std::vector<AddressRange>& holes) {
  std::vector<AddressRange> result;
  auto hole = holes.begin();
  for (AddressRange range : ranges) {
    while (hole != holes.end() && hole->end <= range.begin) ++hole;
    for (auto next = hole; next != holes.end() && next->begin < range.end; ++next) {
      if (next->begin > range.begin) result.push_back({range.begin, next->begin});
      range.begin = std::max(range.begin, std::min(next->end, range.end));
    }
    if (!is_empty(range)) result.push_back(range);
  }
  return result;
}

}  // namespace

bool runs_same_program(const image::ProcessRecord& parent, const image::ProcessRecord& child) {
  const image::MemoryLayoutRecord& a = parent.layout();
  const image::MemoryLayoutRecord& b = child.layout();
  return a.start_code() == b.start_code() && a.start_stack() == b.start_stack() &&
         a.start_brk() == b.start_brk() && a.arg_start() == b.arg_start() &&
         parent.vdso().address() == child.vdso().address() &&
         parent.agent().area() == child.agent().area() && parent.exe() == child.exe();
}

Inheritance inherit(const std::vector<MapStep>& base, std::vector<MapStep>& steps) {
  Inheritance result;
  auto from = base.begin();
  for (MapStep& step : steps) {
    while (from != base.end() && from->mapping->end() <= step.mapping->begin()) ++from;
    std::vector<AddressRange> kept;
    for (auto other = from; other != base.end() && other->mapping->begin() < step.mapping->end();
         ++other) {
      if (!is_alike(*other, step)) continue;
      kept.push_back(overlap(range_of(*other), range_of(step)));
      if (other->first_protection != step.first_protection) step.first_protection = -1;
    }
    result.kept.insert(result.kept.end(), kept.begin(), kept.end());
    for (const AddressRange& part : without({range_of(step)}, kept)) {
      MappingRecord& record = result.parts.emplace_back(*step.mapping);
      record.set_offset(step.mapping->offset() + (part.begin - step.mapping->begin()));
      record.set_begin(part.begin);
      record.set_end(part.end);
      MapStep fresh = step;
      fresh.mapping = &record;
      if (fresh.first_protection < 0)
        fresh.first_protection = static_cast<int>(record.protection());
      result.fresh.push_back(fresh);
    }
  }
  std::vector<AddressRange> all;
  for (const MapStep& step : base) all.push_back(range_of(step));
  result.dropped = without(all, result.kept);
  return result;
}

std::vector<AddressRange> surplus(const std::vector<AddressRange>& kept,
                                  const std::vector<AddressRange>& of_base,
                                  const std::vector<AddressRange>& of_child) {
  std::vector<AddressRange> inside;
  auto page = of_base.begin();
  for (const AddressRange& range : kept) {
    while (page != of_base.end() && page->end <= range.begin) ++page;
    for (auto next = page; next != of_base.end() && next->begin < range.end; ++next)
      inside.push_back(overlap(*next, range));
  }
  return without(inside, of_child);
}

}  // namespace ck::restore
