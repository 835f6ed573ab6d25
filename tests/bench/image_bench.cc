// Compares the image writer with `zstd -1 -T0` on the same bytes and the same disk.
// image_bench [FOLDER [MIB]]: prints one line for each kind of content, medians of three runs.
// Both start with their input in memory and end with their output on the disk (fsync).
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "runtime/abi/control_area.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/reader.h"
#include "runtime/image/writer.h"

namespace {

using namespace ck;
using namespace ck::image;

constexpr std::uint64_t kBase = 0x7f0000000000;
constexpr int kRuns = 3;

// The content as a file, which is read as both programs would read it: through the page cache.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    const ssize_t done =
        ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset - kBase));
    if (done != static_cast<ssize_t>(into.size())) return sys_error("read the content");
    return {};
  }

 private:
  UniqueFd fd_;
};

Manifest job(std::uint64_t bytes) {
  Manifest manifest;
  ProcessRecord& process = *manifest.add_processes();
  process.set_pid(2);
  ThreadRecord& thread = *process.add_threads();
  thread.set_tid(2);
  thread.set_frame(std::string(sizeof(abi::SignalFrame), '\0'));
  thread.set_xstate(std::string(1024, '\0'));
  MappingRecord& mapping = *process.add_mappings();
  mapping.set_begin(kBase);
  mapping.set_end(kBase + bytes);
  return manifest;
}

Status write_image(const std::string& from, const std::string& to, std::uint64_t bytes) {
  const FileSource source(from);
  auto writer = CK_TRY(Writer::create(to, {}));
  for (std::uint64_t at = 0; at < bytes; at += kChunkBytes) {
    CK_TRY(writer->add({StreamId::Kind::kMemory, 0}, source, {{kBase + at, kChunkBytes}}));
  }
  CK_TRY(writer->commit(job(bytes)));
  return {};
}

Status run_zstd(const std::string& from, const std::string& to) {
  const std::string command = "zstd -q -f -1 -T0 " + from + " -o " + to;
  if (std::system(command.c_str()) != 0) return make_error(ErrorKind::kSystem, "zstd failed");
  const UniqueFd fd(::open(to.c_str(), O_RDONLY | O_CLOEXEC));
  if (::fsync(fd.get()) != 0) return sys_error("fsync " + to);
  return {};
}

double median_seconds(const std::string& output, const std::function<Status()>& body) {
  std::vector<double> seconds;
  for (int run = 0; run < kRuns; ++run) {
    ::unlink(output.c_str());
    ::sync();
    const auto start = std::chrono::steady_clock::now();
    if (Status status = body(); !status.ok()) {
      std::fprintf(stderr, "%s\n", status.error().text().c_str());
      std::exit(1);
    }
    seconds.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

void fill(std::vector<char>& block, const std::string& kind, std::mt19937_64& random) {
  if (kind == "zero") {
    std::fill(block.begin(), block.end(), '\0');
  } else if (kind == "random") {
    for (std::size_t i = 0; i + 8 <= block.size(); i += 8) {
      const std::uint64_t word = random();
      std::memcpy(block.data() + i, &word, 8);
    }
  } else {  // numbers in text, as a log or a CSV file in memory
    std::size_t at = 0;
    while (at + 64 < block.size()) {
      at += static_cast<std::size_t>(
          std::snprintf(block.data() + at, 64, "step %lu energy %.6f atom %lu\n", random() % 100000,
                        static_cast<double>(random() % 1000000) / 997, random() % 64));
    }
  }
}

void make_content(const std::string& path, const std::string& kind, std::uint64_t bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  std::mt19937_64 random(1);
  std::vector<char> block(kChunkBytes);
  for (std::uint64_t at = 0; at < bytes; at += block.size()) {
    fill(block, kind, random);
    if (::write(fd.get(), block.data(), block.size()) != static_cast<ssize_t>(block.size())) {
      std::perror("write the content");
      std::exit(1);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : ".";
  const std::uint64_t bytes = (argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1024) << 20;
  const std::string content = folder + "/image_bench.content";
  const std::string output = folder + "/image_bench.out";
  const double mib = static_cast<double>(bytes) / (1 << 20);
  std::printf("%-8s %14s %14s %10s %10s\n", "content", "writer MiB/s", "zstd MiB/s", "writer MiB",
              "zstd MiB");
  for (const char* kind : {"random", "text", "zero"}) {
    make_content(content, kind, bytes);
    const auto size = [&] {
      return static_cast<double>(std::filesystem::file_size(output)) / (1 << 20);
    };
    const double ours = median_seconds(output, [&] { return write_image(content, output, bytes); });
    const double our_size = size();
    const double theirs = median_seconds(output, [&] { return run_zstd(content, output); });
    std::printf("%-8s %14.0f %14.0f %10.1f %10.1f\n", kind, mib / ours, mib / theirs, our_size,
                size());
  }
  ::unlink(content.c_str());
  ::unlink(output.c_str());
}
