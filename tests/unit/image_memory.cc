// The writer's memory does not grow with the job.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "runtime/base/unique_fd.h"
#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// A sparse file of 1 GiB with a page of data in each MiB and 32 MiB of random data in front.
class SparseSource final : public ByteSource {
 public:
  explicit SparseSource(const std::string& path)
      : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    BOOST_REQUIRE(::ftruncate(fd_.get(), kBytes) == 0);
    for (std::uint64_t at = 0; at < kBytes; at += kMiB) {
      const Bytes bytes =
          random_bytes(at < 32 * kMiB ? kMiB : kPageBytes, static_cast<unsigned>(at >> 20));
      BOOST_REQUIRE(::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at)) ==
                    static_cast<ssize_t>(bytes.size()));
    }
  }
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    const ssize_t done =
        ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset - kBase));
    return done == static_cast<ssize_t>(into.size()) ? Status() : sys_error("read");
  }
  static constexpr std::uint64_t kBytes = 1024 * kMiB;

 private:
  UniqueFd fd_;
};

// The largest resident size since reset_peak().
std::uint64_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib;
  }
  return 0;
}

void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_gib_is_written_within_64_mib) {
  const ScratchFolder folder;
  const SparseSource source(folder.file("source"));
  const StreamId memory{StreamId::Kind::kMemory, 0};
  ::malloc_trim(0);
  reset_peak();
  const std::uint64_t before = peak_kib();
  BOOST_REQUIRE(before > 0);
  for (unsigned threads : {2u, 16u}) {
    for (int level : {1, 19}) {
      const std::string path = folder.file("image");
      auto writer = Writer::create(path, {.level = level, .threads = threads});
      BOOST_REQUIRE(writer.ok());
      for (std::uint64_t at = 0; at < source.kBytes; at += kMiB) {
        BOOST_REQUIRE((*writer)->add(memory, source, {{kBase + at, kMiB}}).ok());
      }
      const auto report = (*writer)->commit(small_job(source.kBytes));
      BOOST_REQUIRE_MESSAGE(report.ok(), why(report));
      BOOST_TEST(report.value().zero_bytes > 900 * kMiB);
      std::filesystem::remove(path);
    }
  }
  BOOST_TEST_MESSAGE("grew by " << peak_kib() - before << " KiB");
#ifndef __SANITIZE_ADDRESS__
  BOOST_TEST(peak_kib() - before <= 64 * 1024);
#endif
}
