#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <sstream>

#include "runtime/proc/cpu.h"

namespace {

using namespace ck::proc;

BOOST_AUTO_TEST_SUITE(cpu)

BOOST_AUTO_TEST_CASE(this_cpu) {
  CpuFacts facts = read_cpu();
  BOOST_TEST(!facts.model.empty());
  BOOST_TEST((facts.xcr0 & 3) == 3u);
  for (const XsaveComponent& part : facts.xsave) {
    BOOST_TEST(part.size > 0u);
    BOOST_TEST(part.offset + part.size <= facts.xsave_size);
  }
  BOOST_TEST(missing_features(facts, facts).empty());
}

BOOST_AUTO_TEST_CASE(missing_by_name) {
  CpuFacts image = read_cpu(), here = image;
  for (CpuidLeaf& leaf : image.leaves) {
    if (leaf.leaf == 7 && leaf.subleaf == 0) leaf.ebx |= 1u << 16;
  }
  for (CpuidLeaf& leaf : here.leaves) {
    if (leaf.leaf == 7 && leaf.subleaf == 0) leaf.ebx &= ~(1u << 16);
  }
  image.xcr0 |= 1u << 18;
  here.xcr0 &= ~(1ull << 18);
  std::vector<std::string> wanted = {"avx512f", "AMX tile data"};
  BOOST_TEST(missing_features(image, here) == wanted, boost::test_tools::per_element());
  BOOST_TEST(missing_features(here, image).empty());
}

// The kernel's own names for what it lets programs use are the reference.
BOOST_AUTO_TEST_CASE(names_as_in_cpuinfo) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("flags")) {
  }
  std::istringstream words(line);
  std::vector<std::string> flags{std::istream_iterator<std::string>(words), {}};
  std::vector<std::string> found = missing_features(read_cpu(), CpuFacts{});
  auto has = [](const auto& list, const char* name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (const char* name : {"sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "bmi1", "aes", "fma",
                           "amx_tile", "gfni", "rdpid", "sha_ni", "xsavec", "lahf_lm", "clzero"}) {
    BOOST_TEST(has(found, name) == has(flags, name), name);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
