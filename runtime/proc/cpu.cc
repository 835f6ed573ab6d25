#include "runtime/proc/cpu.h"

#include <cpuid.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace ck::proc {
namespace {

enum Register { kEax, kEbx, kEcx, kEdx };

struct Feature {
  std::uint32_t leaf, subleaf;
  Register reg;
  unsigned bit;
  const char* name;
};

// Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E. Names as in the kernel's cpufeatures.h.
constexpr Feature kFeatures[] = {
    {1, 0, kEcx, 0, "sse3"},
    {1, 0, kEcx, 1, "pclmulqdq"},
    {1, 0, kEcx, 9, "ssse3"},
    {1, 0, kEcx, 12, "fma"},
    {1, 0, kEcx, 13, "cx16"},
    {1, 0, kEcx, 19, "sse4_1"},
    {1, 0, kEcx, 20, "sse4_2"},
    {1, 0, kEcx, 22, "movbe"},
    {1, 0, kEcx, 23, "popcnt"},
    {1, 0, kEcx, 25, "aes"},
    {1, 0, kEcx, 27, "osxsave"},
    {1, 0, kEcx, 28, "avx"},
    {1, 0, kEcx, 29, "f16c"},
    {1, 0, kEcx, 30, "rdrand"},
    {1, 0, kEdx, 4, "tsc"},
    {1, 0, kEdx, 8, "cx8"},
    {1, 0, kEdx, 15, "cmov"},
    {1, 0, kEdx, 19, "clflush"},
    {1, 0, kEdx, 23, "mmx"},
    {1, 0, kEdx, 24, "fxsr"},
    {1, 0, kEdx, 25, "sse"},
    {1, 0, kEdx, 26, "sse2"},
    {7, 0, kEbx, 0, "fsgsbase"},
    {7, 0, kEbx, 3, "bmi1"},
    {7, 0, kEbx, 4, "hle"},
    {7, 0, kEbx, 5, "avx2"},
    {7, 0, kEbx, 8, "bmi2"},
    {7, 0, kEbx, 9, "erms"},
    {7, 0, kEbx, 11, "rtm"},
    {7, 0, kEbx, 14, "mpx"},
    {7, 0, kEbx, 16, "avx512f"},
    {7, 0, kEbx, 17, "avx512dq"},
    {7, 0, kEbx, 18, "rdseed"},
    {7, 0, kEbx, 19, "adx"},
    {7, 0, kEbx, 21, "avx512ifma"},
    {7, 0, kEbx, 23, "clflushopt"},
    {7, 0, kEbx, 24, "clwb"},
    {7, 0, kEbx, 26, "avx512pf"},
    {7, 0, kEbx, 27, "avx512er"},
    {7, 0, kEbx, 28, "avx512cd"},
    {7, 0, kEbx, 29, "sha_ni"},
    {7, 0, kEbx, 30, "avx512bw"},
    {7, 0, kEbx, 31, "avx512vl"},
    {7, 0, kEcx, 0, "prefetchwt1"},
    {7, 0, kEcx, 1, "avx512vbmi"},
    {7, 0, kEcx, 4, "ospke"},
    {7, 0, kEcx, 5, "waitpkg"},
    {7, 0, kEcx, 6, "avx512_vbmi2"},
    {7, 0, kEcx, 8, "gfni"},
    {7, 0, kEcx, 9, "vaes"},
    {7, 0, kEcx, 10, "vpclmulqdq"},
    {7, 0, kEcx, 11, "avx512_vnni"},
    {7, 0, kEcx, 12, "avx512_bitalg"},
    {7, 0, kEcx, 14, "avx512_vpopcntdq"},
    {7, 0, kEcx, 22, "rdpid"},
    {7, 0, kEcx, 25, "cldemote"},
    {7, 0, kEcx, 27, "movdiri"},
    {7, 0, kEcx, 28, "movdir64b"},
    {7, 0, kEdx, 2, "avx512_4vnniw"},
    {7, 0, kEdx, 3, "avx512_4fmaps"},
    {7, 0, kEdx, 4, "fsrm"},
    {7, 0, kEdx, 8, "avx512_vp2intersect"},
    {7, 0, kEdx, 14, "serialize"},
    {7, 0, kEdx, 16, "tsxldtrk"},
    {7, 0, kEdx, 22, "amx_bf16"},
    {7, 0, kEdx, 23, "avx512_fp16"},
    {7, 0, kEdx, 24, "amx_tile"},
    {7, 0, kEdx, 25, "amx_int8"},
    {7, 1, kEax, 0, "sha512"},
    {7, 1, kEax, 1, "sm3"},
    {7, 1, kEax, 2, "sm4"},
    {7, 1, kEax, 4, "avx_vnni"},
    {7, 1, kEax, 5, "avx512_bf16"},
    {7, 1, kEax, 7, "cmpccxadd"},
    {7, 1, kEax, 10, "fzrm"},
    {7, 1, kEax, 11, "fsrs"},
    {7, 1, kEax, 12, "fsrc"},
    {7, 1, kEax, 21, "amx_fp16"},
    {7, 1, kEax, 23, "avx_ifma"},
    {7, 1, kEdx, 4, "avx_vnni_int8"},
    {7, 1, kEdx, 5, "avx_ne_convert"},
    {7, 1, kEdx, 8, "amx_complex"},
    {7, 1, kEdx, 10, "avx_vnni_int16"},
    {7, 1, kEdx, 14, "prefetchi"},
    {7, 1, kEdx, 19, "avx10"},
    {7, 1, kEdx, 21, "apx_f"},
    {0xd, 1, kEax, 0, "xsaveopt"},
    {0xd, 1, kEax, 1, "xsavec"},
    {0xd, 1, kEax, 2, "xgetbv1"},
    {0x80000001, 0, kEcx, 0, "lahf_lm"},
    {0x80000001, 0, kEcx, 5, "abm"},
    {0x80000001, 0, kEcx, 6, "sse4a"},
    {0x80000001, 0, kEcx, 7, "misalignsse"},
    {0x80000001, 0, kEcx, 8, "3dnowprefetch"},
    {0x80000001, 0, kEcx, 11, "xop"},
    {0x80000001, 0, kEcx, 15, "lwp"},
    {0x80000001, 0, kEcx, 16, "fma4"},
    {0x80000001, 0, kEcx, 21, "tbm"},
    {0x80000001, 0, kEcx, 29, "mwaitx"},
    {0x80000001, 0, kEdx, 11, "syscall"},
    {0x80000001, 0, kEdx, 27, "rdtscp"},
    {0x80000001, 0, kEdx, 29, "lm"},
    {0x80000001, 0, kEdx, 30, "3dnowext"},
    {0x80000001, 0, kEdx, 31, "3dnow"},
    {0x80000008, 0, kEbx, 0, "clzero"},
    {0x80000008, 0, kEbx, 4, "rdpru"},
};

struct Component {
  unsigned bit;
  const char* name;
};
constexpr Component kComponents[] = {
    {0, "x87 state"},
    {1, "SSE state"},
    {2, "AVX state"},
    {3, "MPX bounds"},
    {4, "MPX configuration"},
    {5, "AVX-512 opmask state"},
    {6, "AVX-512 upper halves"},
    {7, "AVX-512 registers 16 to 31"},
    {9, "PKRU state"},
    {17, "AMX tile configuration"},
    {18, "AMX tile data"},
    {19, "APX registers"},
};

CpuidLeaf cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  CpuidLeaf result{leaf, subleaf};
  // Beyond the highest leaf, Intel's CPUs answer with the data of another leaf.
  if (__get_cpuid_max(leaf & 0x80000000u, nullptr) < leaf) return result;
  __cpuid_count(leaf, subleaf, result.eax, result.ebx, result.ecx, result.edx);
  return result;
}

std::uint64_t read_xcr0() {
  std::uint32_t low = 0, high = 0;
  asm("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
}

std::string read_model() {
  char text[49] = {};
  for (std::uint32_t i = 0; i < 3; ++i) {
    CpuidLeaf leaf = cpuid(0x80000002u + i, 0);
    std::memcpy(text + i * 16, &leaf.eax, 4);
    std::memcpy(text + i * 16 + 4, &leaf.ebx, 4);
    std::memcpy(text + i * 16 + 8, &leaf.ecx, 4);
    std::memcpy(text + i * 16 + 12, &leaf.edx, 4);
  }
  std::string model(text);
  model.erase(0, model.find_first_not_of(' '));
  model.erase(model.find_last_not_of(' ') + 1);
  return model;
}

void read_xsave(CpuFacts& facts) {
  facts.xcr0 = read_xcr0();
  facts.xsave_size = cpuid(0xd, 0).ebx;
  facts.xsave.push_back({0, 0, 160});    // the legacy region: x87 state and MXCSR,
  facts.xsave.push_back({1, 160, 256});  // XMM registers
  for (std::uint32_t bit = 2; bit < 63; ++bit) {
    if ((facts.xcr0 >> bit & 1) == 0) continue;
    CpuidLeaf leaf = cpuid(0xd, bit);
    facts.xsave.push_back({bit, leaf.ebx, leaf.eax});
  }
}

std::uint32_t value_of(const CpuidLeaf& leaf, Register reg) {
  switch (reg) {
    case kEax:
      return leaf.eax;
    case kEbx:
      return leaf.ebx;
    case kEcx:
      return leaf.ecx;
    case kEdx:
      return leaf.edx;
  }
  return 0;
}

bool has(const CpuFacts& facts, const Feature& feature) {
  auto leaf = std::find_if(facts.leaves.begin(), facts.leaves.end(), [&](const CpuidLeaf& l) {
    return l.leaf == feature.leaf && l.subleaf == feature.subleaf;
  });
  return leaf != facts.leaves.end() && (value_of(*leaf, feature.reg) >> feature.bit & 1) != 0;
}

std::uint32_t& value_of(CpuidLeaf& leaf, Register reg) {
  return reg == kEax ? leaf.eax : reg == kEbx ? leaf.ebx : reg == kEcx ? leaf.ecx : leaf.edx;
}

void hide(CpuFacts& facts, const std::string& names) {
  const std::string closed = "," + names + ",";
  for (const Feature& feature : kFeatures) {
    if (closed.find("," + std::string(feature.name) + ",") == closed.npos) continue;
    for (CpuidLeaf& leaf : facts.leaves)
      if (leaf.leaf == feature.leaf && leaf.subleaf == feature.subleaf)
        value_of(leaf, feature.reg) &= ~(1u << feature.bit);
  }
}

}  // namespace

CpuFacts read_cpu() {
  constexpr std::pair<std::uint32_t, std::uint32_t> kLeaves[] = {
      {1, 0},    {7, 0},          {7, 1},          {7, 2},         {0xd, 0},
      {0xd, 1},  {0x14, 0},       {0x19, 0},       {0x1d, 1},      {0x1e, 0},
      {0x24, 0}, {0x80000001, 0}, {0x80000007, 0}, {0x80000008, 0}};
  CpuFacts facts;
  facts.model = read_model();
  for (auto [leaf, subleaf] : kLeaves) {
    facts.leaves.push_back(cpuid(leaf, subleaf));
    if (leaf == 1) facts.leaves.back().ebx &= 0x00ffffff;  // the rest is this core's number
  }
  if (has(facts, {1, 0, kEcx, 27, ""})) read_xsave(facts);
  if (const char* names = std::getenv("CKRUN_HIDE_CPU")) hide(facts, names);
  return facts;
}

std::vector<std::string> missing_features(const CpuFacts& image, const CpuFacts& here) {
  std::vector<std::string> missing;
  for (const Feature& feature : kFeatures) {
    if (has(image, feature) && !has(here, feature)) missing.emplace_back(feature.name);
  }
  for (unsigned bit = 0; bit < 63; ++bit) {
    if ((image.xcr0 >> bit & 1) == 0 || (here.xcr0 >> bit & 1) != 0) continue;
    auto known = std::find_if(std::begin(kComponents), std::end(kComponents),
                              [&](const Component& c) { return c.bit == bit; });
    missing.push_back(known != std::end(kComponents) ? known->name
                                                     : "processor state " + std::to_string(bit));
  }
  return missing;
}

}  // namespace ck::proc
