// Writing that fails or is killed leaves nothing behind and says why.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "runtime/base/unique_fd.h"
#include "runtime/image/generations.h"
#include "tests/unit/image_fixture.h"

using namespace ck;
using namespace ck::image;
using namespace ck::image::testing;

namespace {

constexpr std::size_t kMiB = 1 << 20;
constexpr StreamId kMemory{StreamId::Kind::kMemory, 0};

// Runs `body` in a forked child; its result is the exit status.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

// 0: refused as it should be, with `reason` in the message and nothing left in `folder`.
int expect_refusal(const std::string& folder, const std::string& reason) {
  const MemorySource source(kBase, random_bytes(8 * kMiB, 3));
  const auto report = write_small(folder + "/gen-000001.ckpt", source);
  if (report.ok()) return 1;
  if (report.error().kind != ErrorKind::kCannotWrite) return 2;
  if (report.error().message.find(reason) == std::string::npos) return 3;
  if (report.error().message.find("the image needs more than ") == std::string::npos) return 4;
  if (!std::filesystem::is_empty(folder)) return 5;
  return 0;
}

bool write_file(const char* path, const std::string& text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// A private mount namespace: as root at once, else inside a user namespace.
bool private_mounts() {
  const std::string uid = std::to_string(::getuid());
  const std::string gid = std::to_string(::getgid());
  if (::unshare(CLONE_NEWNS) == 0)
    return ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return write_file("/proc/self/uid_map", "0 " + uid + " 1") &&
         write_file("/proc/self/setgroups", "deny") &&
         write_file("/proc/self/gid_map", "0 " + gid + " 1");
}

constexpr int kNotPossibleHere = 77;

// Never lets the writer past its first chunks.
class StuckSource final : public ByteSource {
 public:
  explicit StuckSource(int ready) : ready_(ready) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    const Bytes bytes = random_bytes(into.size(), static_cast<unsigned>(offset >> 12));
    std::memcpy(into.data(), bytes.data(), into.size());
    if (offset >= kBase + 4 * kMiB) {
      if (::write(ready_, "x", 1) != 1) return sys_error("write");
      ::pause();
    }
    return {};
  }

 private:
  int ready_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(full_disk)

BOOST_AUTO_TEST_CASE(a_limit_on_file_sizes) {
  const ScratchFolder folder;
  for (bool ignored : {true, false}) {  // SIGXFSZ must not end us even where it is not ignored
    const int status = in_child([&] {
      ::signal(SIGXFSZ, ignored ? SIG_IGN : SIG_DFL);
      const rlimit limit{3 * kMiB, 3 * kMiB};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      return expect_refusal(folder.path(), "File too large");
    });
    BOOST_TEST(status == 0);
  }
}

BOOST_AUTO_TEST_CASE(the_manifest_meets_the_limit) {
  const ScratchFolder folder;
  const int status = in_child([&] {
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto report = write_small(folder.file("a"), MemorySource(kBase, Bytes(kPageBytes)));
    return !report.ok() && report.error().kind == ErrorKind::kCannotWrite && folder.empty() ? 0 : 1;
  });
  BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_CASE(a_full_file_system) {
  const ScratchFolder folder;
  const int status = in_child([&] {
    if (!private_mounts()) return kNotPossibleHere;
    if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=4m") != 0) return kNotPossibleHere;
    return expect_refusal(folder.path(), "No space left on device");
  });
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotPossibleHere) {
    BOOST_TEST_MESSAGE("no private mount namespace to be had here");
  } else {
    BOOST_TEST(status == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_writer_that_is_killed_leaves_no_image) {
  const ScratchFolder folder;
  int ready[2];
  BOOST_REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const StuckSource source(ready[1]);
    auto writer = Writer::create(folder.file("gen-000001.ckpt"), {.threads = 2});
    for (std::uint64_t i = 0; i < 32; ++i) {
      if (!(*writer)->add(kMemory, source, {{kBase + i * kMiB, kMiB}}).ok()) ::_exit(1);
    }
    ::_exit((*writer)->finish_chunks().ok());
  }
  ::close(ready[1]);
  char byte;
  BOOST_TEST(::read(ready[0], &byte, 1) == 1);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(ready[0]);
  BOOST_TEST(WIFSIGNALED(status));
  BOOST_TEST(list_generations(folder.path()).value().empty());
  BOOST_REQUIRE(remove_leftovers(folder.path()).ok());
  BOOST_TEST(folder.empty());
}

BOOST_AUTO_TEST_CASE(the_last_word_can_be_no) {
  const ScratchFolder folder;
  const MemorySource source(kBase, random_bytes(kMiB, 3));
  auto writer = Writer::create(folder.file("a"), {.threads = 1});
  BOOST_REQUIRE(add_all(**writer, kMemory, source).ok());
  const auto report = (*writer)->commit(small_job(kMiB), [] {
    return Status(make_error(ErrorKind::kTryAgain, "somebody else owns this job"));
  });
  BOOST_REQUIRE(!report.ok());
  BOOST_TEST(report.error().message == "somebody else owns this job");
  writer->reset();
  BOOST_TEST(folder.empty());
}

BOOST_AUTO_TEST_CASE(what_exists_is_not_overwritten) {
  const ScratchFolder folder;
  spill(folder.file("a"), "precious");
  const auto report = write_small(folder.file("a"), MemorySource(kBase, random_bytes(kMiB, 3)));
  BOOST_REQUIRE(!report.ok());
  BOOST_TEST((report.error().kind == ErrorKind::kCannotWrite));
  BOOST_TEST(slurp(folder.file("a")) == "precious");
}

BOOST_AUTO_TEST_CASE(a_source_that_fails_fails_the_image) {
  struct Broken final : ByteSource {
    Status read(std::uint64_t, std::span<std::byte>) const override {
      return make_error(ErrorKind::kNotFound, "process 42 is gone");
    }
  } source;
  const ScratchFolder folder;
  auto writer = Writer::create(folder.file("a"), {.threads = 2});
  for (std::uint64_t i = 0; i < 500; ++i) {
    if (!(*writer)->add(kMemory, source, {{kBase + i * kMiB, kMiB}}).ok()) break;
  }
  BOOST_TEST((*writer)->finish_chunks().error().message == "process 42 is gone");
  BOOST_TEST(!(*writer)->commit(small_job(kMiB)).ok());
}

BOOST_AUTO_TEST_CASE(an_image_that_could_not_be_read_is_not_written) {
  const ScratchFolder folder;
  const MemorySource source(kBase, random_bytes(2 * kMiB, 3));
  auto writer = Writer::create(folder.file("a"), {.threads = 1});
  BOOST_REQUIRE(add_all(**writer, kMemory, source).ok());
  const auto report = (*writer)->commit(small_job(kMiB));  // the second MiB is mapped nowhere
  BOOST_REQUIRE(!report.ok());
  BOOST_TEST((report.error().kind == ErrorKind::kBug));
  BOOST_TEST(folder.empty());
}

BOOST_AUTO_TEST_SUITE_END()
