// What programs can see of this host's CPU, and what of an image's CPU is missing on another.
// Any thread may call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ck::proc {

struct CpuidLeaf {
  std::uint32_t leaf = 0, subleaf = 0;
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

// Where an XSAVE image in the standard format (that of signal frames) keeps a state component.
struct XsaveComponent {
  std::uint32_t bit = 0;  // of XCR0
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
};

struct CpuFacts {
  std::string model;
  std::vector<CpuidLeaf> leaves;  // those in which programs look for features
  std::vector<XsaveComponent> xsave;
  std::uint64_t xcr0 = 0;
  std::uint32_t xsave_size = 0;  // of an image with every component of XCR0
};

// Without the features that the environment variable CKRUN_HIDE_CPU names, joined by commas: for
// tests, in which one machine is hosts of different CPUs.
CpuFacts read_cpu();

// Names (as in /proc/cpuinfo) of what programs may use on `image` but not on `here`: instructions,
// and state components. Bits that only the kernel uses do not count.
std::vector<std::string> missing_features(const CpuFacts& image, const CpuFacts& here);

}  // namespace ck::proc
