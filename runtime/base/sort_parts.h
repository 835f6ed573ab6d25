// Sorts what consists of a few parts that are in order already, as the runs of an image do that is
// on top of others: merging takes n log k steps for n elements in k parts, and one pass finds that
// all is in order. Equal elements keep their order. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace ck {

template <typename T, typename Less>
void sort_parts(std::vector<T>& all, Less less) {
  std::vector<std::size_t> bounds{0};  // of the parts
  for (std::size_t i = 1; i < all.size(); ++i)
    if (less(all[i], all[i - 1])) bounds.push_back(i);
  bounds.push_back(all.size());
  const auto at = [&all](std::size_t i) { return all.begin() + static_cast<std::ptrdiff_t>(i); };
  while (bounds.size() > 2) {
    std::vector<std::size_t> merged{0};
    std::size_t i = 0;
    for (; i + 2 < bounds.size(); i += 2) {
      std::inplace_merge(at(bounds[i]), at(bounds[i + 1]), at(bounds[i + 2]), less);
      merged.push_back(bounds[i + 2]);
    }
    if (i + 1 < bounds.size()) merged.push_back(bounds[i + 1]);
    bounds = std::move(merged);
  }
}

}  // namespace ck
