#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>

#include "runtime/proc/kcmp.h"
#include "runtime/proc/mem.h"
#include "runtime/proc/pagemap.h"
#include "tests/unit/child.h"

namespace {

using namespace ck;
using namespace ck::proc;
using ck::test::Child;

constexpr std::size_t kPage = 4096;

std::vector<std::pair<std::uint64_t, std::uint64_t>> scan(const PageScan& scanner, char* base,
                                                          std::size_t pages, PageScan::Kind kind) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> runs;
  auto begin = reinterpret_cast<std::uint64_t>(base);
  auto status = scanner.scan(begin, begin + pages * kPage, kind, [&](PageRun run) -> Status {
    runs.emplace_back((run.begin - begin) / kPage, (run.end - begin) / kPage);
    return {};
  });
  BOOST_REQUIRE(status.ok());
  return runs;
}

using Runs = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

char* map(std::size_t pages, int fd = -1) {
  void* at = ::mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
  BOOST_REQUIRE(at != MAP_FAILED);
  return static_cast<char*>(at);
}

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(anonymous_pages) {
  char* base = map(5000);
  ::madvise(base, 5000 * kPage, MADV_NOHUGEPAGE);
  volatile char sink = base[3 * kPage];  // the zero page
  static_cast<void>(sink);
  for (std::size_t page : {1, 2, 10}) base[page * kPage] = 1;
  for (std::size_t page = 100; page < 4600; page += 2) base[page * kPage] = 1;  // over 1024 regions
  Child child;
  PageScan scanner = PageScan::open(child.pid()).value();
  Runs runs = scan(scanner, base, 5000, PageScan::Kind::kAnonymous);
  BOOST_TEST(runs.size() == 2u + 2250);
  BOOST_TEST((runs[0] == std::pair<std::uint64_t, std::uint64_t>(1, 3)));
  BOOST_TEST((runs.back() == std::pair<std::uint64_t, std::uint64_t>(4598, 4599)));
  scanner.use_ioctl(false);
  Runs read = scan(scanner, base, 5000, PageScan::Kind::kAnonymous);
  BOOST_TEST(read.size() >= runs.size());
  ::munmap(base, 5000 * kPage);
}

// The kernel's buffer holds 512 regions, ours 1024: each is filled not quite, exactly, and beyond.
BOOST_AUTO_TEST_CASE(any_number_of_regions) {
  constexpr std::size_t kPages = 4200;
  char* base = map(kPages);
  ::madvise(base, kPages * kPage, MADV_NOHUGEPAGE);
  PageScan scanner = PageScan::open(RealPid(::getpid())).value();
  std::size_t made = 0;
  for (std::size_t count : {1, 511, 512, 513, 700, 1023, 1024, 1025, 1536, 1537, 1700, 2049}) {
    for (; made < count; ++made) base[2 * made * kPage] = 1;
    Runs wanted;
    for (std::size_t i = 0; i < count; ++i) wanted.emplace_back(2 * i, 2 * i + 1);
    BOOST_TEST((scan(scanner, base, kPages, PageScan::Kind::kAnonymous) == wanted),
               count << " regions");
  }
  ::munmap(base, kPages * kPage);
}

BOOST_AUTO_TEST_CASE(private_file_pages) {
  int fd = ::open("/proc/self/exe", O_RDONLY);
  char* base = map(8, fd);
  ::close(fd);
  volatile char sink = 0;
  for (std::size_t page = 0; page < 6; ++page) sink = sink + base[page * kPage];
  base[2 * kPage] = 1;
  base[3 * kPage] = 1;
  Child child;
  PageScan scanner = PageScan::open(child.pid()).value();
  Runs wanted = {{2, 4}};
  BOOST_TEST((scan(scanner, base, 8, PageScan::Kind::kPrivateFile) == wanted));
  scanner.use_ioctl(false);
  BOOST_TEST((scan(scanner, base, 8, PageScan::Kind::kPrivateFile) == wanted));
  ::munmap(base, 8 * kPage);
}

BOOST_AUTO_TEST_CASE(guard_pages) {
  constexpr int kGuardInstall = 102;  // MADV_GUARD_INSTALL
  char* base = map(8);
  std::memset(base, 1, 8 * kPage);
  if (::madvise(base + 2 * kPage, kPage, kGuardInstall) != 0) return;  // before Linux 6.13
  PageScan scanner = PageScan::open(RealPid(::getpid())).value();
  for (bool ioctl : {scanner.has_ioctl(), false}) {
    scanner.use_ioctl(ioctl);
    Runs content = {{0, 2}, {3, 8}}, guards = {{2, 3}};
    BOOST_TEST((scan(scanner, base, 8, PageScan::Kind::kAnonymous) == content));
    BOOST_TEST((scan(scanner, base, 8, PageScan::Kind::kGuard) == guards));
  }
  ::munmap(base, 8 * kPage);
}

BOOST_AUTO_TEST_CASE(read_and_write) {
  char* base = map(4);
  std::strcpy(base + kPage - 3, "across pages");
  ::mprotect(base, kPage, PROT_READ);
  ::munmap(base + 3 * kPage, kPage);
  auto at = reinterpret_cast<std::uint64_t>(base);
  Child child;
  ProcMem mem = ProcMem::open(child.pid()).value();
  char text[13] = {};
  BOOST_TEST(mem.read(at + kPage - 3, std::as_writable_bytes(std::span(text))).ok());
  BOOST_TEST(text == std::string("across pages"));
  int number = 42;
  BOOST_TEST(mem.write(at, std::as_bytes(std::span(&number, 1))).ok());  // although read-only
  BOOST_TEST(mem.read_value<int>(at).value() == 42);
  std::vector<std::byte> much(4 * kPage);
  Status failed = mem.read(at, much);
  BOOST_TEST(!failed.ok());
  BOOST_TEST(failed.error().message.find("0x") != std::string::npos);
  ::munmap(base, 3 * kPage);
}

BOOST_AUTO_TEST_CASE(memory_is_not_shared_after_fork) {
  Child child;
  BOOST_TEST(share(RealPid(::getpid()), RealPid(::getpid()), Shared::kMemory).value());
  BOOST_TEST(!share(RealPid(::getpid()), child.pid(), Shared::kMemory).value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
