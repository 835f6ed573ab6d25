// Descriptors of one process are captured, made anew in another, and compared by what they do.
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "tests/unit/resources_trip.h"

namespace {

using namespace ck;
using namespace ck::test;

BOOST_AUTO_TEST_SUITE(roundtrip)

BOOST_AUTO_TEST_CASE(regular_files) {
  Folder folder;
  std::string path = folder.file("data");
  std::ofstream(path) << "0123456789";
  RoundTrip trip([&] {
    place(::open(path.c_str(), O_RDWR | O_APPEND), 10);
    ::lseek(10, 5, SEEK_SET);
    ::dup3(10, 11, O_CLOEXEC);
    place(::open(path.c_str(), O_RDONLY), 12);
    ::lseek(12, 3, SEEK_SET);
    place(::open(path.c_str(), O_RDONLY), 13);  // looks like 14, but is another open file
    place(::open(path.c_str(), O_RDONLY), 14);
    place(::open(folder.path.c_str(), O_RDONLY | O_DIRECTORY), 15);
    place(::open(path.c_str(), O_PATH), 16);
    place(::open("/proc/self/status", O_RDONLY), 17);
    place(::open("/dev/null", O_RDWR), 18);
    place(::open("/dev/urandom", O_RDONLY | O_NONBLOCK), 19);
  });
  must(trip.capture_status());
  must(trip.restore());
  BOOST_TEST(trip.warnings.empty());
  BOOST_TEST(trip.same_file(10, 11));
  BOOST_TEST(!trip.same_file(13, 14));
  BOOST_TEST(trip.read_some(10) == "56789");
  BOOST_TEST(trip.read_some(12) == "3456789");
  BOOST_TEST(trip.read_some(17).find("Pid:\t" + to_string(trip.copy())) != std::string::npos);
  auto before = proc::read_descriptors(trip.original()).value();
  auto after = proc::read_descriptors(trip.copy()).value();
  BOOST_REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    BOOST_TEST(before[i].fd == after[i].fd);
    BOOST_TEST(before[i].info.flags == after[i].info.flags);
    if (before[i].fd == 17 || before[i].fd < 3) continue;
    BOOST_TEST(before[i].target == after[i].target);
  }
}

BOOST_AUTO_TEST_CASE(changed_files) {
  Folder folder;
  std::string path = folder.file("log");
  std::ofstream(path) << "0123456789";
  auto open_log = [&] { place(::open(path.c_str(), O_RDWR | O_APPEND), 10); };
  RoundTrip grown(open_log), rolled_back(open_log, true), shorter(open_log), missing(open_log);
  std::ofstream(path, std::ios::app) << "more";
  must(grown.restore());
  BOOST_REQUIRE(grown.warnings.size() == 1u);
  BOOST_TEST(grown.warnings[0].find("grown from 10 bytes to 14") != std::string::npos);
  must(rolled_back.restore());
  BOOST_TEST(std::filesystem::file_size(path) == 10u);
  std::filesystem::resize_file(path, 9);
  Status status = shorter.restore();
  BOOST_REQUIRE(!status.ok());
  BOOST_TEST(status.error().message.find("shorter") != std::string::npos);
  std::filesystem::remove(path);
  status = missing.restore();
  BOOST_REQUIRE(!status.ok());
  BOOST_CHECK(status.error().kind == ErrorKind::kNotFound);
  BOOST_TEST(status.error().message.find(path) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(files_without_a_name) {
  Folder folder;
  std::string path = folder.file("gone"), large = folder.file("large");
  RoundTrip trip([&] {
    place(::open(path.c_str(), O_RDWR | O_CREAT, 0640), 10);
    put(10, "unlinked");
    ::ftruncate(10, 1 << 20);
    ::pwrite(10, "end", 3, (1 << 20) - 3);
    ::unlink(path.c_str());
    place(::open(folder.path.c_str(), O_TMPFILE | O_RDWR, 0600), 11);
    put(11, "never linked");
    ::lseek(11, 6, SEEK_SET);
    place(::memfd_create("shared memory", MFD_ALLOW_SEALING), 12);
    put(12, "memfd");
    ::fcntl(12, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE);
    ::lseek(12, 0, SEEK_SET);
    place(::open("/proc/self/fd/12", O_RDONLY), 13);
    place(::open(large.c_str(), O_WRONLY | O_CREAT, 0600), 14);
    std::string block(1 << 20, 'x');
    for (int i = 0; i < 10; ++i) put(14, block);
    ::unlink(large.c_str());
  });
  must(trip.capture_status());
  must(trip.restore());
  UniqueFd unlinked = trip.fetch(10);
  struct stat status {};
  BOOST_REQUIRE(::fstat(unlinked.get(), &status) == 0);
  BOOST_TEST(status.st_nlink == 0u);
  BOOST_TEST(status.st_size == 1 << 20);
  BOOST_TEST((status.st_mode & 07777) == 0640u);
  BOOST_TEST(status.st_blocks < 100);
  BOOST_TEST(::lseek(unlinked.get(), 0, SEEK_CUR) == 8);
  char text[9] = {};
  ::pread(unlinked.get(), text, 8, 0);
  BOOST_TEST(text == std::string("unlinked"));
  ::pread(unlinked.get(), text, 8, (1 << 20) - 3);
  BOOST_TEST(std::string(text, 3) == "end");
  BOOST_TEST(trip.read_some(11) == "linked");
  UniqueFd memfd = trip.fetch(12);
  BOOST_TEST(::fcntl(memfd.get(), F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_WRITE));
  BOOST_TEST(trip.read_some(12) == "memfd");
  BOOST_TEST(trip.read_some(13) == "memfd");
  BOOST_TEST(proc::read_fdinfo(trip.copy(), 13).value().inode ==
             proc::read_fdinfo(trip.copy(), 12).value().inode);
  BOOST_TEST((proc::read_fdinfo(trip.copy(), 14).value().flags & O_ACCMODE) == unsigned(O_WRONLY));
  BOOST_REQUIRE(::fstat(trip.fetch(14).get(), &status) == 0);
  BOOST_TEST(status.st_size == 10 << 20);
}

BOOST_AUTO_TEST_CASE(pipes) {
  Folder folder;
  std::string fifo = folder.file("fifo");
  ::mkfifo(fifo.c_str(), 0600);
  RoundTrip trip([&] {
    open_pipe(0, 10, 11);
    ::fcntl(11, F_SETPIPE_SZ, 1 << 17);
    put(11, "hello");
    place(::open("/proc/self/fd/10", O_RDONLY | O_NONBLOCK),
          12);  // the same end, another open file
    open_pipe(O_DIRECT | O_NONBLOCK, 13, 14);
    put(14, "one");
    put(14, "two");
    open_pipe(0, 15, 16);
    put(16, "last words");
    ::close(16);
    place(::open(fifo.c_str(), O_RDWR | O_NONBLOCK), 17);
    put(17, "fifo");
    place(::open(fifo.c_str(), O_RDONLY), 18);
  });
  must(trip.capture_status());
  must(trip.restore());
  BOOST_TEST(::fcntl(trip.fetch(11).get(), F_GETPIPE_SZ) == 1 << 17);
  put(trip.fetch(11).get(), " again");
  BOOST_TEST(trip.read_some(12) == "hello again");
  BOOST_TEST(!trip.same_file(10, 12));
  BOOST_TEST(trip.read_some(12).starts_with("error"));
  BOOST_TEST(trip.read_some(13) == "one");
  BOOST_TEST(trip.read_some(13) == "two");
  put(trip.fetch(14).get(), "three");
  put(trip.fetch(14).get(), "four");
  BOOST_TEST(trip.read_some(13) == "three");
  BOOST_TEST(trip.read_some(15) == "last words");
  BOOST_TEST(trip.read_some(15).empty());  // the end
  BOOST_TEST(trip.read_some(18) == "fifo");
}

BOOST_AUTO_TEST_CASE(events_and_timers) {
  RoundTrip trip([] {
    place(::eventfd(5, 0), 10);
    place(::eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK), 11);
    place(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 12);
    itimerspec time{{0, 200'000'000}, {100, 0}};
    ::timerfd_settime(12, 0, &time, nullptr);
    place(::timerfd_create(CLOCK_REALTIME, 0), 13);
    time = {{0, 0}, {4'000'000'000, 5}};
    ::timerfd_settime(13, TFD_TIMER_ABSTIME, &time, nullptr);
    place(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 14);
    time = {{0, 1'000'000}, {0, 1}};
    ::timerfd_settime(14, 0, &time, nullptr);
    ::usleep(20'000);  // some expirations that nobody reads
    place(::timerfd_create(CLOCK_BOOTTIME, 0), 15);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 4);
    place(::signalfd(-1, &set, SFD_NONBLOCK), 16);
  });
  must(trip.capture_status());
  must(trip.restore());
  std::uint64_t count = 0;
  auto read_count = [&](int fd) {
    return ::read(trip.fetch(fd).get(), &count, 8) == 8 ? count : 0;
  };
  BOOST_TEST(read_count(10) == 5u);
  BOOST_TEST(read_count(11) == 1u);
  BOOST_TEST(read_count(11) == 1u);
  itimerspec time{};
  ::timerfd_gettime(trip.fetch(12).get(), &time);
  BOOST_TEST(time.it_value.tv_sec >= 98);
  BOOST_TEST(time.it_value.tv_sec < 100);
  BOOST_TEST(time.it_interval.tv_nsec == 200'000'000);
  ::timerfd_gettime(trip.fetch(13).get(), &time);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  BOOST_TEST(std::abs(time.it_value.tv_sec + now.tv_sec - 4'000'000'000) <= 1);
  BOOST_TEST(read_count(14) >= 20u);
  ::timerfd_gettime(trip.fetch(15).get(), &time);
  BOOST_TEST(time.it_value.tv_sec == 0);
  auto before = proc::read_fdinfo(trip.original(), 16).value(),
       after = proc::read_fdinfo(trip.copy(), 16).value();
  BOOST_TEST(proc::fdinfo_field(before.text, "sigmask") ==
             proc::fdinfo_field(after.text, "sigmask"));
}

BOOST_AUTO_TEST_CASE(epoll) {
  RoundTrip trip([] {
    place(::eventfd(1, 0), 10);
    place(::eventfd(0, 0), 11);
    place(::epoll_create1(0), 12);
    epoll_event event{EPOLLIN, {.u64 = 0x123456789abc}};
    ::epoll_ctl(12, EPOLL_CTL_ADD, 10, &event);
    event = {EPOLLIN | EPOLLET, {.u64 = 2}};
    ::epoll_ctl(12, EPOLL_CTL_ADD, 11, &event);
    ::dup2(11, 20);              // what was added as 11 lives on as 20,
    place(::eventfd(7, 0), 11);  // and 11 is another file, added too
    event = {EPOLLIN, {.u64 = 3}};
    ::epoll_ctl(12, EPOLL_CTL_ADD, 11, &event);
    place(::epoll_create1(0), 13);
    event = {EPOLLIN, {.u64 = 4}};
    ::epoll_ctl(13, EPOLL_CTL_ADD, 12, &event);
  });
  must(trip.capture_status());
  must(trip.restore());
  UniqueFd instance = trip.fetch(12);
  epoll_event events[8];
  std::set<std::uint64_t> ready;
  for (int i = 0, count = ::epoll_wait(instance.get(), events, 8, 0); i < count; ++i)
    ready.insert(events[i].data.u64);
  BOOST_TEST((ready == std::set<std::uint64_t>{0x123456789abc, 3}));
  std::uint64_t one = 1;
  BOOST_TEST(::write(trip.fetch(20).get(), &one, 8) == 8);
  int count = ::epoll_wait(instance.get(), events, 8, 0);
  BOOST_TEST(count == 3);
  BOOST_TEST(::epoll_wait(trip.fetch(13).get(), events, 8, 0) == 1);
  BOOST_TEST(std::uint64_t{events[0].data.u64} == 4u);
}

BOOST_AUTO_TEST_CASE(unix_sockets) {
  RoundTrip trip([] {
    open_pair(SOCK_STREAM, 10, 11);
    put(10, "to eleven");
    put(11, "to ten");
    open_pair(SOCK_DGRAM | SOCK_NONBLOCK, 12, 13);
    put(12, "first");
    put(12, "second");
    open_pair(SOCK_STREAM, 14, 15);
    put(15, "farewell");
    ::close(15);
    open_pair(SOCK_SEQPACKET, 16, 17);
    timeval timeout{3, 0};
    ::setsockopt(16, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    int on = 1, size = 100'000;
    ::setsockopt(17, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    ::setsockopt(17, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    ::shutdown(16, SHUT_WR);
  });
  must(trip.capture_status());
  must(trip.restore());
  BOOST_TEST(trip.read_some(11) == "to eleven");
  BOOST_TEST(trip.read_some(10) == "to ten");
  ucred peer{};
  socklen_t length = sizeof peer;
  ::getsockopt(trip.fetch(10).get(), SOL_SOCKET, SO_PEERCRED, &peer, &length);
  BOOST_TEST(peer.pid == trip.copy().value);
  BOOST_TEST(trip.read_some(13) == "first");
  BOOST_TEST(trip.read_some(13) == "second");
  BOOST_TEST(trip.read_some(13).starts_with("error"));
  BOOST_TEST(trip.read_some(14) == "farewell");
  BOOST_TEST(trip.read_some(14).empty());
  timeval timeout{};
  length = sizeof timeout;
  ::getsockopt(trip.fetch(16).get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, &length);
  BOOST_TEST(timeout.tv_sec == 3);
  int size = 0;
  length = sizeof size;
  ::getsockopt(trip.fetch(17).get(), SOL_SOCKET, SO_SNDBUF, &size, &length);
  BOOST_TEST(size == 200'000);
  BOOST_TEST(trip.read_some(17).empty());  // shut down on the other side
  // The original has lost nothing.
  auto original = proc::PidFd::open(trip.original()).value();
  char text[100];
  BOOST_TEST(::read(original.get_descriptor(13).value().get(), text, sizeof text) == 5);
  BOOST_TEST(::read(original.get_descriptor(11).value().get(), text, sizeof text) == 9);
}

BOOST_AUTO_TEST_CASE(inotify_watches) {
  Folder folder;
  std::filesystem::create_directories(folder.path / "a" / "b");
  RoundTrip trip([&] {
    ::chdir(folder.path.c_str());
    place(::inotify_init1(IN_NONBLOCK), 10);
    for (int i = 0; i < 4; ++i) ::inotify_rm_watch(10, ::inotify_add_watch(10, "/tmp", IN_CREATE));
    ::inotify_add_watch(10, (folder.path / "a" / "b").c_str(), IN_CREATE | IN_DELETE);
    ::inotify_add_watch(10, folder.path.c_str(), IN_MOVED_FROM);
    char events[4096];
    while (::read(10, events, sizeof events) > 0) {
    }
  });
  must(trip.capture_status());
  must(trip.restore());
  auto before = proc::read_fdinfo(trip.original(), 10).value(),
       after = proc::read_fdinfo(trip.copy(), 10).value();
  BOOST_TEST(
      proc::fdinfo_lines(before.text, "inotify") == proc::fdinfo_lines(after.text, "inotify"),
      boost::test_tools::per_element());
  std::ofstream((folder.path / "a" / "b" / "new").string()) << "x";
  alignas(inotify_event) char buffer[1024];
  UniqueFd fd = trip.fetch(10);
  BOOST_REQUIRE(::read(fd.get(), buffer, sizeof buffer) > 0);
  auto* event = reinterpret_cast<inotify_event*>(buffer);
  BOOST_TEST(event->wd == 5);
  BOOST_TEST(event->name == std::string("new"));
}

BOOST_AUTO_TEST_CASE(owners_and_locks) {
  Folder folder;
  std::string path = folder.file("locked");
  std::ofstream(path) << "0123456789";
  RoundTrip trip([&] {
    place(::open(path.c_str(), O_RDWR), 10);
    place(::open(path.c_str(), O_RDONLY), 11);
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_len = 4;
    ::fcntl(10, F_SETLK, &lock);
    lock.l_start = 5;
    ::fcntl(10, F_OFD_SETLK, &lock);
    ::flock(11, LOCK_EX);
    open_pair(SOCK_STREAM, 12, 13);
    ::fcntl(12, F_SETOWN, ::getpid());
    ::fcntl(12, F_SETSIG, SIGRTMIN + 1);
    ::fcntl(12, F_SETFL, O_ASYNC | O_NONBLOCK);
  });
  must(trip.capture_status());
  BOOST_TEST(trip.process().locks_size() == 3);
  must(trip.restore());
  auto info = proc::read_fdinfo(trip.copy(), 12).value();
  BOOST_TEST((info.flags & (O_ASYNC | O_NONBLOCK)) == unsigned(O_ASYNC | O_NONBLOCK));
  f_owner_ex owner{};
  ::fcntl(trip.fetch(12).get(), F_GETOWN_EX, &owner);
  BOOST_TEST(owner.pid == trip.original().value);
  BOOST_TEST(::fcntl(trip.fetch(12).get(), F_GETSIG) == SIGRTMIN + 1);
  Status status = trip.restore_locks();
  BOOST_REQUIRE(!status.ok());
  BOOST_TEST(status.error().message.find(path) != std::string::npos);
  trip.end_original();
  must(trip.restore_locks());
  BOOST_TEST(proc::read_fdinfo(trip.copy(), 10).value().locks.size() == 2u);
  BOOST_TEST(proc::read_fdinfo(trip.copy(), 11).value().locks.size() == 1u);
}

struct Terminal {
  UniqueFd master, slave;
  Terminal() : master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    BOOST_REQUIRE(::grantpt(master.get()) == 0 && ::unlockpt(master.get()) == 0);
    slave.reset(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  std::string shown() {
    char text[100];
    ssize_t got = ::read(master.get(), text, sizeof text);
    return std::string(text, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
};

BOOST_AUTO_TEST_CASE(standard_streams) {
  Terminal before, after;
  open_pipe(0, kOutside, kOutside + 1);  // as in: cat | program
  ::dup2(before.slave.get(), kOutside + 2);
  std::string name = ::ptsname(before.master.get());
  RoundTrip trip([&] {
    ::dup2(kOutside, 0);
    ::dup2(kOutside + 2, 1);
    ::dup2(1, 2);
    ::dup2(2, 10);
    place(::open(name.c_str(), O_WRONLY | O_NOCTTY | O_NONBLOCK), 11);
  });
  for (int fd = kOutside; fd < kOutside + 3; ++fd) ::close(fd);
  must(trip.capture_status());
  open_pipe(0, kOutside, kOutside + 1);
  must(trip.restore({kOutside, after.slave.get(), after.slave.get()}));
  BOOST_TEST(trip.warnings.empty());
  put(kOutside + 1, "input");
  BOOST_TEST(trip.read_some(0) == "input");
  for (int fd : {1, 2, 10, 11}) {
    put(trip.fetch(fd).get(), "from " + std::to_string(fd));
    BOOST_TEST(after.shown() == "from " + std::to_string(fd));
  }
  BOOST_TEST(trip.same_file(1, 10));
  BOOST_TEST(!trip.same_file(1, 11));
  BOOST_TEST((::fcntl(trip.fetch(11).get(), F_GETFL) & O_NONBLOCK) != 0);
  BOOST_TEST((::fcntl(after.slave.get(), F_GETFL) & O_NONBLOCK) == 0);
  ::close(kOutside);
  ::close(kOutside + 1);
}

BOOST_AUTO_TEST_CASE(standard_stream_closed_at_restart) {
  open_pipe(0, kOutside, kOutside + 1);
  RoundTrip trip([] { ::dup2(kOutside + 1, 2); });
  must(trip.capture_status());
  must(trip.restore({0, 1, -1}));
  BOOST_REQUIRE(trip.warnings.size() == 1u);
  BOOST_TEST(trip.warnings[0].find("/dev/null") != std::string::npos);
  put(trip.fetch(2).get(), "nowhere");
  ::close(kOutside);
  ::close(kOutside + 1);
}

BOOST_AUTO_TEST_CASE(what_is_refused) {
  struct Case {
    std::function<void()> prepare;
    const char* word;
    ErrorKind kind = ErrorKind::kRefused;
  };
  open_pipe(0, kOutside, kOutside + 1);
  constexpr int kOtherTerminal = kOutside + 2;
  const Terminal other;
  ::dup2(other.slave.get(), kOtherTerminal);
  const Case cases[] = {
      {[] { place(::socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT), 10); }, "netlink"},
      {[] { ::dup2(kOutside, 10); }, "outside of the job"},
      {[] { place(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0)), 10); },
       "not one of the job"},
      {[] { place(::dup(kOtherTerminal), 10); }, "not that of the program's standard streams"},
      {[] { place(::open("/proc/1/status", O_RDONLY), 10); }, "another process",
       ErrorKind::kTryAgain},
  };
  for (const Case& refused : cases) {
    RoundTrip trip(refused.prepare);
    BOOST_REQUIRE_MESSAGE(!trip.capture_status().ok(), refused.word);
    const Error error = trip.capture_status().error();
    BOOST_CHECK(error.kind == refused.kind);
    BOOST_TEST(error.message.find("fd 1") != std::string::npos, error.text());
    BOOST_TEST(error.message.find(refused.word) != std::string::npos, error.text());
  }
  ::close(kOtherTerminal);
  ::close(kOutside);
  ::close(kOutside + 1);
}

BOOST_AUTO_TEST_CASE(survey_tells_all) {
  ControlArea area = ControlArea::create("/dev/shm", "", 2, 0).value();
  Parked process(area, 0, [] {
    ::close_range(3, ~0u, 0);
    place(::socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT), 10);
    place(static_cast<int>(::syscall(SYS_pidfd_open, ::getppid(), 0)), 11);
    place(::eventfd(0, 0), 12);
  });
  auto objections = resources::classify(std::vector{process.pid()}).value();
  BOOST_REQUIRE(objections.size() == 2u);
  BOOST_TEST(objections[0].object.starts_with("fd 10 -> socket:["));
  BOOST_TEST(objections[1].reason.find("not one of the job") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
