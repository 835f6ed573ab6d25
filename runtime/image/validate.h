// Checks a manifest's structure: every index, range, size, count and enum, so that whoever uses the
// manifest afterwards may trust them. Reader and writer both use it: what the one would refuse, the
// other does not write. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"

namespace ck::image {

inline constexpr std::uint64_t kAddressLimit = 1ull << 56;  // five-level page tables
inline constexpr std::uint64_t kMaxFileOffset = (1ull << 63) - 1;
inline constexpr std::int32_t kMaxPid = 4 << 20;  // PID_MAX_LIMIT
inline constexpr int kMaxProcesses = 16384;
inline constexpr int kMaxThreads = 65536;     // of the job
inline constexpr int kMaxMappings = 1 << 20;  // of a process
inline constexpr int kMaxObjects = 1 << 22;
inline constexpr int kMaxOpenFiles = 1 << 22;
inline constexpr std::int32_t kMaxFd = 1 << 20;
inline constexpr std::size_t kMaxText = 1 << 20;  // a path, a name, an argument
inline constexpr int kMaxSignal = 64;
inline constexpr std::uint32_t kMaxTerminals = 4096;

// Messages say what is wrong, not in which image.
Error invalid(std::string what);
Status check_text(const std::string& text, const char* what, std::size_t limit = kMaxText);

// Before parsing: that parsing cannot take much more memory than the manifest is large. `records`
// gets all of it but the chunks; may be null.
Status validate_serialised(const std::string& manifest, std::string* records = nullptr);
// All but the chunks.
Status validate_records(const Manifest& manifest);
Status validate_process(const ProcessRecord& process, const Manifest& manifest);

// One chunk after the other, in order. The manifest (its chunks aside) must be valid already.
class ChunkValidator {
 public:
  // Chunks lie before `data_end` in the file.
  ChunkValidator(const Manifest& manifest, std::uint64_t data_end)
      : manifest_(manifest), data_end_(data_end) {}
  Status check(const ChunkRecord& chunk);

 private:
  Status check_storage(const ChunkRecord& chunk) const;
  Status check_runs(const ChunkRecord& chunk) const;
  Status check_place(std::uint32_t stream, std::uint64_t begin, std::uint64_t end) const;
  std::string name() const;

  const Manifest& manifest_;
  const std::uint64_t data_end_;
  std::uint64_t count_ = 0;
};

// That no byte of a stream is in two chunks. Chunks must be valid each.
Status validate_no_overlap(const Manifest& manifest);

}  // namespace ck::image
