#include <boost/test/unit_test.hpp>
#include <random>
#include <utility>
#include <vector>

#include "runtime/base/sort_parts.h"

BOOST_AUTO_TEST_SUITE(base_sort)

using Pair = std::pair<int, int>;  // what it is sorted by, and where it was

static bool by_first(const Pair& a, const Pair& b) {
  return a.first < b.first;
}

BOOST_AUTO_TEST_CASE(sorts_any_number_of_parts_and_keeps_equals_in_order) {
  std::mt19937 random(7);
  for (int parts = 0; parts < 40; ++parts) {
    std::vector<Pair> all;
    for (int part = 0; part < parts; ++part) {
      int value = 0;
      for (unsigned left = random() % 50; left > 0; --left) {
        value += static_cast<int>(random() % 3);
        all.emplace_back(value, static_cast<int>(all.size()));
      }
    }
    std::vector<Pair> expected = all;
    std::stable_sort(expected.begin(), expected.end(), by_first);
    ck::sort_parts(all, by_first);
    BOOST_TEST((all == expected), parts << " parts");
  }
}

BOOST_AUTO_TEST_CASE(sorts_what_is_in_no_order) {
  std::vector<Pair> all;
  for (int i = 0; i < 1000; ++i) all.emplace_back(1000 - i, i);
  ck::sort_parts(all, by_first);
  BOOST_TEST(std::is_sorted(all.begin(), all.end(), by_first));
}

BOOST_AUTO_TEST_SUITE_END()
