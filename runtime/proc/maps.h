// The mappings of a process, from /proc/PID/maps and /proc/PID/smaps. Any thread; needs the right
// to trace the process (PTRACE_MODE_READ).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

// The two-letter codes of "VmFlags:" in smaps (proc_pid_smaps(5)).
enum VmFlag : std::uint64_t {
  kVmRead = 1ull << 0,          // rd
  kVmWrite = 1ull << 1,         // wr
  kVmExec = 1ull << 2,          // ex
  kVmShared = 1ull << 3,        // sh
  kVmMayRead = 1ull << 4,       // mr
  kVmMayWrite = 1ull << 5,      // mw: of a shared mapping: the file was opened for writing
  kVmMayExec = 1ull << 6,       // me
  kVmMayShare = 1ull << 7,      // ms
  kVmGrowsDown = 1ull << 8,     // gd
  kVmPfnMap = 1ull << 9,        // pf
  kVmLocked = 1ull << 10,       // lo
  kVmIo = 1ull << 11,           // io
  kVmSequential = 1ull << 12,   // sr
  kVmRandom = 1ull << 13,       // rr
  kVmDontFork = 1ull << 14,     // dc
  kVmDontExpand = 1ull << 15,   // de
  kVmAccount = 1ull << 16,      // ac
  kVmNoReserve = 1ull << 17,    // nr
  kVmHugeTlb = 1ull << 18,      // ht
  kVmSync = 1ull << 19,         // sf
  kVmLockOnFault = 1ull << 20,  // lf
  kVmWipeOnFork = 1ull << 21,   // wf
  kVmDontDump = 1ull << 22,     // dd
  kVmSoftDirty = 1ull << 23,    // sd
  kVmMixedMap = 1ull << 24,     // mm
  kVmHugePage = 1ull << 25,     // hg
  kVmNoHugePage = 1ull << 26,   // nh
  kVmMergeable = 1ull << 27,    // mg
  kVmUffdMissing = 1ull << 28,  // um
  kVmUffdWp = 1ull << 29,       // uw
  kVmUffdMinor = 1ull << 30,    // ui
  kVmShadowStack = 1ull << 31,  // ss
  kVmSealed = 1ull << 32,       // sl
  kVmArch = 1ull << 33,         // ar
  kVmDroppable = 1ull << 34,    // dp
  kVmOther = 1ull << 63,        // a code that is not in this list
};

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  int prot = 0;  // PROT_ bits
  bool shared = false;
  std::uint64_t offset = 0;  // in the file, bytes
  dev_t dev = 0;
  ino_t inode = 0;       // 0: no file
  std::string path;      // without " (deleted)"; or "[heap]", "[anon:NAME]"; empty: anonymous
  bool deleted = false;  // the path does not lead to the file any more

  // read_smaps() only:
  std::uint64_t vm_flags = 0;  // VmFlag bits
  std::uint64_t rss = 0;       // bytes
  std::uint64_t swap = 0;      // bytes

  std::uint64_t size() const { return end - begin; }
  bool contains(std::uint64_t address) const { return address >= begin && address < end; }
};

Result<std::vector<Mapping>> read_maps(RealPid pid);
// The same with VmFlags, Rss and Swap; walks the page tables, so some ms for each GiB.
Result<std::vector<Mapping>> read_smaps(RealPid pid);

// The parsers themselves; `pid` only serves to resolve names that the text leaves ambiguous.
Result<std::vector<Mapping>> parse_maps(std::string_view text, RealPid pid);
Result<std::vector<Mapping>> parse_smaps(std::string_view text, RealPid pid);

}  // namespace ck::proc
