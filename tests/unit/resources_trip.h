// What tests of descriptors have in common: jobs that are captured and made again elsewhere.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>

#include "runtime/image/reader.h"
#include "runtime/image/writer.h"
#include "runtime/proc/fdinfo.h"
#include "runtime/proc/kcmp.h"
#include "runtime/proc/pidfd.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "tests/unit/parked_job.h"

namespace ck::test {

constexpr int kBase = 200;
constexpr int kChannel = kBase + 3;
constexpr int kOutside = 300;  // descriptors from here on are at hand in `prepare`

// Chunks in memory, in place of an image file.
class MemoryImage : public image::Writer, public image::Reader {
 public:
  Status add(image::StreamId stream, const image::ByteSource& source, std::vector<image::Run> runs,
             image::ZeroPages) override {
    image::ChunkRecord chunk;
    chunk.set_stream(stream.packed());
    std::vector<std::byte> content;
    for (const image::Run& run : runs) {
      chunk.add_run_begin(run.begin);
      chunk.add_run_length(run.length);
      content.resize(content.size() + run.length);
      CK_TRY(source.read(run.begin, std::span(content).last(run.length)));
    }
    chunk.set_raw_size(static_cast<std::uint32_t>(content.size()));
    *manifest_.add_chunks() = chunk;
    contents_.push_back(std::move(content));
    return {};
  }
  Status keep(image::StreamId, image::StreamId, const std::vector<image::Run>&) override {
    return make_error(ErrorKind::kBug, "there is no basis");
  }
  Status finish_chunks() override { return {}; }
  Result<image::WriteReport> commit(image::Manifest, const std::function<Status()>&) override {
    return image::WriteReport{};
  }
  const std::string& path() const override { return path_; }
  int fd() const override { return -1; }
  const image::Manifest& manifest() const override { return manifest_; }
  std::uint64_t file_bytes() const override { return 0; }
  image::Hash128 manifest_hash() const override { return {}; }
  int parent_fd(std::size_t) const override { return -1; }
  Status read_chunk(std::size_t index, std::span<std::byte> into) const override {
    std::copy(contents_[index].begin(), contents_[index].end(), into.begin());
    return {};
  }
  Result<image::VerifyReport> verify(unsigned, image::Progress*) const override {
    return image::VerifyReport{};
  }

  image::Manifest manifest_;

 private:
  std::string path_;
  std::vector<std::vector<std::byte>> contents_;
};

struct Folder {
  std::filesystem::path path;
  Folder() {
    char name[] = "/tmp/ck_resources_XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

struct Timer {
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  std::clock_t cpu = std::clock();
  std::string text() const {
    auto passed = std::chrono::steady_clock::now() - begin;
    return std::to_string(passed / std::chrono::microseconds(1)) + " us (" +
           std::to_string(std::clock() - cpu) + " us of the CPU)";
  }
};

// A captured job and the one that its descriptors were made again in.
class RoundTrip {
 public:
  using Fork = ParkedJob::Fork;

  explicit RoundTrip(const std::function<void()>& prepare, bool rollback = false)
      : RoundTrip(1, [&](const Fork&) { prepare(); }) {
    context_.rollback_files = rollback;
  }
  RoundTrip(unsigned processes, const std::function<void(const Fork&)>& prepare)
      : area_(ControlArea::create("/dev/shm", "", 2 * processes, 0).value()), count_(processes) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    original_.emplace(
        area_, 0, count_,
        [&](const Fork& fork) {
          ::close_range(3, kOutside - 1, 0);
          prepare(fork);
        },
        [] { ::close_range(kOutside, ~0u, 0); });
    capture();
  }

  const Status& capture_status() const { return captured_; }

  // `streams`: the restart's own standard streams.
  Status restore(std::array<int, 3> streams = {0, 1, 2}) {
    int channel[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) == 0);
    copy_.emplace(area_, count_, count_, [&](const Fork& fork) {
      for (int fd = 0; fd < 3; ++fd) ::dup2(streams[static_cast<std::size_t>(fd)], kBase + fd);
      ::dup2(channel[1], kChannel);
      for (int fd = 0; fd < kBase; ++fd) ::close(fd);
      for (unsigned i = 1; i < count_; ++i) fork([] {});
    });
    ::close(channel[1]);
    UniqueFd ours(channel[0]);
    auto objects = memory::RestoredObjects::create(image.manifest_);
    if (!objects.ok()) return std::move(objects).error();
    CK_TRY(objects->fill(image));
    CK_TRY(objects->finish());
    restored_.clear();
    for (unsigned i = 0; i < count_; ++i) restored_.push_back({&copy_->mailbox(i), &process(i)});
    context_.processes = restored_;
    context_.objects = &*objects;
    context_.channel = ours.get();
    context_.channel_fd = kChannel;
    context_.base = kBase;
    context_.std_fds = {kBase, kBase + 1, kBase + 2};
    context_.warnings = &warnings;
    const Timer timer;
    CK_TRY(resources::restore_descriptors(context_, image.manifest_));
    restore_time = timer.text();
    for (unsigned i = 0; i < count_; ++i)
      CK_TRY(copy_->mailbox(i).call("close helpers", SYS_close_range, kBase, ~0u, 0));
    return {};
  }
  Status restore_locks() { return resources::restore_locks(context_, image.manifest_); }
  Status close(int fd, std::size_t process) {
    return copy_->mailbox(process).call("close", SYS_close, fd).ok()
               ? Status()
               : make_error(ErrorKind::kBug, "not open");
  }
  void end_original() { original_.reset(); }

  const image::ProcessRecord& process(std::size_t process = 0) const {
    return image.manifest_.processes(static_cast<int>(process));
  }
  RealPid original(std::size_t process = 0) const { return original_->pid(process); }
  RealPid copy(std::size_t process = 0) const { return copy_->pid(process); }
  // A descriptor of a restored process, for us to try.
  UniqueFd fetch(int fd, std::size_t process = 0) const {
    return proc::PidFd::open(copy(process)).value().get_descriptor(fd).value();
  }
  std::string read_some(int fd, std::size_t process = 0) const {
    char text[4096];
    ssize_t got = ::read(fetch(fd, process).get(), text, sizeof text);
    return got < 0 ? "error: " + std::string(std::strerror(errno))
                   : std::string(text, static_cast<std::size_t>(got));
  }
  bool same_file(int a, int b, std::size_t process_a = 0, std::size_t process_b = 0) const {
    return proc::same_open_file({copy(process_a), a}, {copy(process_b), b}).value();
  }

  MemoryImage image;
  std::vector<std::string> warnings;
  std::string capture_time, restore_time;

 private:
  void capture() {
    std::vector<resources::CaptureProcess> processes;
    for (unsigned i = 0; i < count_; ++i) {
      image::ProcessRecord* record = image.manifest_.add_processes();
      record->set_pid(original(i).value);
      processes.push_back({original(i), &original_->mailbox(i), record, {}});
    }
    memory::ObjectTable objects(memory::ObjectTable::Purpose::kLive, image.manifest_, "/tmp");
    const Timer timer;
    captured_ = resources::capture_descriptors(processes, image.manifest_, objects);
    capture_time = timer.text();
    if (captured_.ok()) captured_ = objects.write_contents(image);
  }

  ControlArea area_;
  unsigned count_;
  std::optional<ParkedJob> original_, copy_;
  std::vector<resources::RestoreProcess> restored_;
  resources::RestoreContext context_;
  Status captured_;
};

inline void must(const Status& status) {
  if (!status.ok()) BOOST_FAIL(status.error().text());
}
inline void put(int fd, std::string_view text) {
  if (::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) ::_exit(99);
}
inline void place(int fd, int number) {
  if (fd < 0) ::_exit(99);
  ::dup2(fd, number);
  ::close(fd);
}
inline std::pair<int, int> open_pipe(int flags, int reader, int writer) {
  int ends[2];
  if (::pipe2(ends, flags) != 0) ::_exit(99);
  place(ends[0], reader);
  place(ends[1], writer);
  return {reader, writer};
}
inline void open_pair(int type, int first, int second) {
  int ends[2];
  if (::socketpair(AF_UNIX, type, 0, ends) != 0) ::_exit(99);
  place(ends[0], first);
  place(ends[1], second);
}

}  // namespace ck::test
