#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/kcmp.h"
#include "runtime/proc/pidfd.h"
#include "tests/unit/child.h"

namespace {

using namespace ck;
using namespace ck::proc;
using ck::test::Child;

const char* const kPath = "/tmp/ck_descriptors_test";

int open_file() {
  return ::open(kPath, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
}

const FdEntry* find(const std::vector<FdEntry>& entries, int fd) {
  auto found = std::find_if(entries.begin(), entries.end(),
                            [&](const FdEntry& entry) { return entry.fd == fd; });
  return found == entries.end() ? nullptr : &*found;
}

BOOST_AUTO_TEST_SUITE(descriptors)

BOOST_AUTO_TEST_CASE(list_of_a_child) {
  Child child([] {
    ::dup2(open_file(), 50);
    BOOST_REQUIRE(::write(50, "hello", 5) == 5);
    ::dup2(::eventfd(7, EFD_NONBLOCK), 51);
  });
  auto entries = read_descriptors(child.pid()).value();
  const FdEntry* file = find(entries, 50);
  BOOST_REQUIRE(file);
  BOOST_TEST(file->target == kPath);
  BOOST_TEST(file->info.position == 5);
  BOOST_TEST((file->info.flags & O_APPEND));
  BOOST_TEST((file->info.flags & O_ACCMODE) == unsigned(O_RDWR));
  BOOST_TEST(!(file->info.flags & O_CLOEXEC));
  const FdEntry* event = find(entries, 51);
  BOOST_REQUIRE(event);
  BOOST_TEST(event->target == "anon_inode:[eventfd]");
  BOOST_TEST(fdinfo_field(event->info.text, "eventfd-count") == "7");
  ::unlink(kPath);
}

BOOST_AUTO_TEST_CASE(locks) {
  Child child([] {
    ::dup2(open_file(), 50);
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_start = 10;
    lock.l_len = 20;
    BOOST_REQUIRE(::fcntl(50, F_SETLK, &lock) == 0);
    lock.l_type = F_RDLCK;
    lock.l_start = 100;
    lock.l_len = 0;
    BOOST_REQUIRE(::fcntl(50, F_OFD_SETLK, &lock) == 0);
    BOOST_REQUIRE(::flock(50, LOCK_EX) == 0);
  });
  auto locks = read_fdinfo(child.pid(), 50).value().locks;
  BOOST_REQUIRE(locks.size() == 3u);
  std::sort(locks.begin(), locks.end(),
            [](const FileLock& a, const FileLock& b) { return a.kind < b.kind; });
  BOOST_CHECK(locks[0].kind == FileLock::Kind::kPosix);
  BOOST_TEST(locks[0].exclusive);
  BOOST_TEST(locks[0].start == 10u);
  BOOST_TEST(locks[0].length == 20u);
  BOOST_TEST(locks[0].owner == child.pid().value);
  BOOST_CHECK(locks[1].kind == FileLock::Kind::kOfd);
  BOOST_TEST(!locks[1].exclusive);
  BOOST_TEST(locks[1].length == 0u);
  BOOST_CHECK(locks[2].kind == FileLock::Kind::kFlock);
  BOOST_TEST(locks[2].exclusive);
  ::unlink(kPath);
}

BOOST_AUTO_TEST_CASE(same_open_file_across_processes) {
  int first = open_file();
  Child child([&] {
    ::dup2(first, 60);
    ::dup2(open_file(), 61);
  });
  RealPid self(::getpid());
  BOOST_TEST(same_open_file({self, first}, {child.pid(), 60}).value());
  BOOST_TEST(!same_open_file({self, first}, {child.pid(), 61}).value());
  auto order = compare_open_files({child.pid(), 60}, {child.pid(), 61}).value();
  auto reverse = compare_open_files({child.pid(), 61}, {child.pid(), 60}).value();
  BOOST_CHECK((order < 0) == (reverse > 0));
  auto failed = same_open_file({self, first}, {child.pid(), 99});
  BOOST_TEST(!failed.ok());
  ::close(first);
  ::unlink(kPath);
}

BOOST_AUTO_TEST_CASE(epoll_targets_behind_reused_numbers) {
  Child child([] {
    ::dup2(::epoll_create1(0), 50);
    ::dup2(::eventfd(0, 0), 51);
    ::dup2(::eventfd(0, 0), 52);
    epoll_event event{};
    BOOST_REQUIRE(::epoll_ctl(50, EPOLL_CTL_ADD, 51, &event) == 0);
    ::dup2(51, 53);  // the watched file lives on as 53,
    ::dup2(52, 51);  // and 51 is another file now
  });
  FdOf epoll{child.pid(), 50};
  BOOST_TEST(is_epoll_target(epoll, 51, 0, {child.pid(), 53}).value());
  BOOST_TEST(!is_epoll_target(epoll, 51, 0, {child.pid(), 51}).value());
}

BOOST_AUTO_TEST_CASE(descriptor_of_a_child) {
  Child child([] {
    ::dup2(open_file(), 50);
    BOOST_REQUIRE(::write(50, "hello", 5) == 5);
  });
  PidFd process = PidFd::open(child.pid()).value();
  UniqueFd copy = process.get_descriptor(50).value();
  BOOST_TEST(::lseek(copy.get(), 0, SEEK_CUR) == 5);
  BOOST_TEST((::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC));
  auto failed = process.get_descriptor(99);
  BOOST_TEST(!failed.ok());
  BOOST_TEST(failed.error().message.find("descriptor 99") != std::string::npos);
  BOOST_TEST(process.send_signal(0).ok());
  ::unlink(kPath);
}

BOOST_AUTO_TEST_CASE(broken_text_is_an_error) {
  BOOST_TEST(!parse_fdinfo("pos:\t0\n").ok());
  BOOST_TEST(!parse_fdinfo("pos:\t0\nflags:\t02\nlock:\tnonsense\n").ok());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
