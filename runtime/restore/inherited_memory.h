// What a restored process has of the one that has started it: a child that runs the same program
// has been forked from its parent's restored memory, and shares all pages that are equal. Or what
// it has of its own, restored from an earlier image. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "runtime/image/image.pb.h"
#include "runtime/restore/memory_plan.h"

namespace ck::restore {

struct AddressRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

// Whether the child has never executed another program since it was forked: only then is there
// anything to share. By what exec sets anew, at random places.
bool runs_same_program(const image::ProcessRecord& parent, const image::ProcessRecord& child);

struct Inheritance {
  std::vector<AddressRange> kept;          // by address
  std::vector<AddressRange> dropped;       // mappings of the parent's that the child does not have
  std::vector<MapStep> fresh;              // to be made
  std::deque<image::MappingRecord> parts;  // behind `fresh`: of mappings that are kept in part
};

// `base`: the steps that the parent's memory was made with; `steps`: the child's, where
// needs_protect is set for what was kept with another protection.
Inheritance inherit(const std::vector<MapStep>& base, std::vector<MapStep>& steps);

// Pages that the base has and the child has not, in what is kept: to be discarded. Runs of pages,
// by address.
std::vector<AddressRange> surplus(const std::vector<AddressRange>& kept,
                                  const std::vector<AddressRange>& of_base,
                                  const std::vector<AddressRange>& of_child);

}  // namespace ck::restore
