// Descriptors of several processes that share pipes, sockets, open files and more.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>

#include <algorithm>
#include <fstream>

#include "runtime/proc/pass_descriptor.h"
#include "tests/unit/resources_trip.h"

namespace {

using namespace ck;
using namespace ck::test;
using Fork = ParkedJob::Fork;

BOOST_AUTO_TEST_SUITE(job)

BOOST_AUTO_TEST_CASE(one_offset) {
  Folder folder;
  std::string path = folder.file("data");
  std::ofstream(path) << "0123456789";
  RoundTrip trip(3, [&](const Fork& fork) {
    place(::open(path.c_str(), O_RDWR | O_APPEND), 10);
    place(::open(path.c_str(), O_RDONLY), 11);
    ::lseek(10, 2, SEEK_SET);
    fork([&] {
      ::dup3(10, 20, O_CLOEXEC);
      ::close(10);
      place(::open(path.c_str(), O_RDONLY), 12);
    });
    fork([&] { place(::open(path.c_str(), O_RDONLY), 12); });
    ::close(11);
  });
  must(trip.capture_status());
  BOOST_TEST(trip.image.manifest_.objects_size() >= 1);
  must(trip.restore());
  BOOST_TEST(trip.same_file(10, 20, 0, 1));
  BOOST_TEST(trip.same_file(10, 10, 0, 2));
  BOOST_TEST(trip.same_file(11, 11, 1, 2));
  BOOST_TEST(!trip.same_file(12, 12, 1, 2));
  BOOST_TEST(trip.same_file(0, 0, 0, 2));
  put(trip.fetch(20, 1).get(), "abc");
  BOOST_TEST(::lseek(trip.fetch(10, 2).get(), 0, SEEK_CUR) == 13);
  for (std::size_t process = 0; process < 3; ++process) {
    auto before = proc::read_descriptors(trip.original(process)).value();
    auto after = proc::read_descriptors(trip.copy(process)).value();
    BOOST_REQUIRE(before.size() == after.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      BOOST_TEST(before[i].fd == after[i].fd);
      BOOST_TEST(before[i].info.flags == after[i].info.flags);
      if (before[i].fd >= 3) BOOST_TEST(before[i].target == after[i].target);
    }
  }
}

BOOST_AUTO_TEST_CASE(pipes_between_processes) {
  Folder folder;
  std::string fifo = folder.file("fifo");
  ::mkfifo(fifo.c_str(), 0600);
  RoundTrip trip(3, [&](const Fork& fork) {
    open_pipe(0, 10, 11);
    fork([] {
      ::dup2(10, 0);
      ::close_range(10, 11, 0);
    });
    ::close(10);
    put(11, "to the child");
    open_pipe(O_NONBLOCK, 12, 13);
    ::dup2(::open(fifo.c_str(), O_RDWR), 14);
    fork([&] {
      ::dup2(13, 1);
      ::close_range(10, 13, 0);
      put(1, "from the child");
      place(::open(fifo.c_str(), O_WRONLY), 15);
      put(15, "fifo");
      ::close(14);
    });
    ::close(13);
  });
  must(trip.capture_status());
  must(trip.restore());
  BOOST_TEST(trip.warnings.empty());
  BOOST_TEST(trip.read_some(0, 1) == "to the child");
  put(trip.fetch(11).get(), "more");
  BOOST_TEST(trip.read_some(0, 1) == "more");
  BOOST_TEST(trip.read_some(12) == "from the child");
  BOOST_TEST(trip.read_some(12).starts_with("error"));
  put(trip.fetch(1, 2).get(), "more");
  BOOST_TEST(trip.read_some(12) == "more");
  BOOST_TEST(trip.read_some(14) == "fifo");
  trip.end_original();
  must(trip.close(11, 0));
  BOOST_TEST(trip.read_some(0, 1).empty());  // nobody kept an end
}

BOOST_AUTO_TEST_CASE(sockets_between_processes) {
  RoundTrip trip(3, [](const Fork& fork) {
    open_pair(SOCK_STREAM, 10, 11);
    open_pair(SOCK_DGRAM | SOCK_NONBLOCK, 12, 13);
    fork([] {
      ::close(10);
      ::close(12);
      put(11, "from one");
      put(13, "a");
      put(13, "b");
    });
    fork([] {
      ::close_range(10, 13, 0);
      open_pair(SOCK_SEQPACKET, 10, 11);
    });
    ::close(11);
    ::close(13);
    put(10, "to one");
  });
  must(trip.capture_status());
  must(trip.restore());
  BOOST_TEST(trip.read_some(10) == "from one");
  BOOST_TEST(trip.read_some(11, 1) == "to one");
  BOOST_TEST(trip.read_some(12) == "a");
  BOOST_TEST(trip.read_some(12) == "b");
  put(trip.fetch(12).get(), "c");
  BOOST_TEST(trip.read_some(13, 1) == "c");
  auto creator = [&](int fd, std::size_t process) {
    ucred peer{};
    socklen_t length = sizeof peer;
    ::getsockopt(trip.fetch(fd, process).get(), SOL_SOCKET, SO_PEERCRED, &peer, &length);
    return peer.pid;
  };
  BOOST_TEST(creator(11, 1) == trip.copy(0).value);
  BOOST_TEST(creator(10, 2) == trip.copy(2).value);
  must(trip.close(11, 1));
  BOOST_TEST(trip.read_some(10).empty());  // nobody kept an end
}

std::pair<std::string, UniqueFd> receive(const UniqueFd& socket, std::size_t most) {
  char text[100];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{text, most};
  msghdr message{nullptr, 0, &part, 1, control, sizeof control, 0};
  ssize_t got = ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  BOOST_REQUIRE(got >= 0);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  UniqueFd passed(header != nullptr ? *reinterpret_cast<int*>(CMSG_DATA(header)) : -1);
  return {std::string(text, static_cast<std::size_t>(got)), std::move(passed)};
}

BOOST_AUTO_TEST_CASE(descriptors_in_flight) {
  auto pass = [](int socket, std::string_view text, int fd) {
    if (proc::send_with_descriptors(socket, text, std::span(&fd, 1)) < 0) ::_exit(99);
    ::close(fd);
  };
  RoundTrip trip(2, [&](const Fork& fork) {
    open_pair(SOCK_STREAM, 10, 11);
    open_pair(SOCK_DGRAM, 12, 13);
    fork([] {
      ::close(10);
      ::close(12);
    });
    ::close(11);
    ::close(13);
    open_pipe(0, 20, 21);
    put(10, "before");
    pass(10, "with", 21);  // no process has the writer then
    put(10, "after");
    open_pair(SOCK_STREAM, 22, 23);
    put(22, "inside");
    pass(12, "socket", 23);
  });
  must(trip.capture_status());
  must(trip.restore());
  UniqueFd stream = trip.fetch(11, 1);
  auto [text, none] = receive(stream, 6);
  BOOST_TEST(text == "before");
  BOOST_TEST(!none);
  auto [with, writer] = receive(stream, 100);
  BOOST_TEST(with == "with");
  BOOST_REQUIRE(writer.valid());
  put(writer.get(), "through the pipe");
  BOOST_TEST(trip.read_some(20) == "through the pipe");
  writer.reset();
  BOOST_TEST(trip.read_some(20).empty());  // nobody kept it
  BOOST_TEST(receive(stream, 100).first == "after");
  auto [message, end] = receive(trip.fetch(13, 1), 100);
  BOOST_TEST(message == "socket");
  BOOST_REQUIRE(end.valid());
  BOOST_TEST(receive(end, 100).first == "inside");
}

BOOST_AUTO_TEST_CASE(epoll_of_all) {
  RoundTrip trip(3, [](const Fork& fork) {
    place(::epoll_create1(0), 10);
    place(::eventfd(1, 0), 11);
    epoll_event event{EPOLLIN, {.u64 = 1}};
    ::epoll_ctl(10, EPOLL_CTL_ADD, 11, &event);
    fork([] {
      place(::eventfd(1, 0), 12);  // the first process has no descriptor of it
      epoll_event event{EPOLLIN, {.u64 = 2}};
      ::epoll_ctl(10, EPOLL_CTL_ADD, 12, &event);
    });
    fork([] {
      place(::eventfd(1, 0), 12);
      epoll_event event{EPOLLIN, {.u64 = 3}};
      ::epoll_ctl(10, EPOLL_CTL_ADD, 12, &event);
    });
  });
  must(trip.capture_status());
  must(trip.restore());
  epoll_event events[8];
  int count = ::epoll_wait(trip.fetch(10, 2).get(), events, 8, 0);
  BOOST_TEST(count == 3);
  std::uint64_t seen = 0;
  for (int i = 0; i < count; ++i) seen |= 1u << events[i].data.u64;
  BOOST_TEST(seen == 0b1110u);
  must(trip.close(12, 1));
  BOOST_TEST(::epoll_wait(trip.fetch(10).get(), events, 8, 0) == 2);  // nothing kept it open
}

BOOST_AUTO_TEST_CASE(owners_and_locks_of_all) {
  Folder folder;
  std::string path = folder.file("locked");
  std::ofstream(path) << "0123456789";
  auto lock_range = [](int command, off_t start) {
    struct flock lock = {};
    lock.l_type = F_WRLCK;
    lock.l_start = start;
    lock.l_len = 1;
    if (::fcntl(10, command, &lock) != 0) ::_exit(99);
  };
  RoundTrip trip(2, [&](const Fork& fork) {
    place(::open(path.c_str(), O_RDWR), 10);
    place(::open(path.c_str(), O_RDONLY), 11);  // before: closing drops POSIX locks
    ::flock(11, LOCK_EX);
    lock_range(F_SETLK, 0);
    lock_range(F_OFD_SETLK, 5);
    open_pair(SOCK_STREAM, 12, 13);
    fork([&] {
      lock_range(F_SETLK, 1);
      ::close(12);
      ::fcntl(13, F_SETOWN, ::getpid());
      ::fcntl(13, F_SETFL, O_ASYNC);
    });
    ::close(13);
  });
  must(trip.capture_status());
  BOOST_TEST(trip.process(0).locks_size() == 3);
  BOOST_TEST(trip.process(1).locks_size() == 1);
  must(trip.restore());
  f_owner_ex owner{};
  ::fcntl(trip.fetch(13, 1).get(), F_GETOWN_EX, &owner);
  BOOST_TEST(owner.pid == trip.original(1).value);
  BOOST_TEST((proc::read_fdinfo(trip.copy(1), 13).value().flags & O_ASYNC) != 0u);
  trip.end_original();
  must(trip.restore_locks());
  BOOST_TEST(proc::read_fdinfo(trip.copy(0), 10).value().locks.size() == 2u);
  BOOST_TEST(proc::read_fdinfo(trip.copy(1), 10).value().locks.size() == 2u);
  BOOST_TEST(proc::read_fdinfo(trip.copy(1), 11).value().locks.size() == 1u);
}

BOOST_AUTO_TEST_CASE(kernel_files_of_others) {
  RoundTrip trip(2, [](const Fork& fork) {
    place(::open("/proc/self/comm", O_RDONLY), 10);
    fork([] {
      ::prctl(PR_SET_NAME, "child");
      place(::open("/proc/self/comm", O_RDONLY), 11);
    });
  });
  must(trip.capture_status());
  std::vector<std::string> names;
  for (const auto& record : trip.image.manifest_.open_files())
    if (record.name().ends_with("/comm")) names.push_back(record.state());
  BOOST_TEST(names == (std::vector<std::string>{"/proc/self/comm", "/proc/self/comm"}),
             boost::test_tools::per_element());
  must(trip.restore());
  BOOST_TEST(trip.same_file(10, 10, 0, 1));
}

// As a shell does: the last to be started holds what the first has opened about itself.
BOOST_AUTO_TEST_CASE(kernel_file_of_the_parent) {
  RoundTrip trip(2, [](const Fork& fork) {
    place(::open("/proc/self/comm", O_RDONLY), 10);
    fork([] {});
    ::close(10);
  });
  must(trip.capture_status());
  std::string name = "/proc/" + to_string(trip.original()) + "/comm";
  auto is_named = [&](const auto& record) { return record.state() == name; };
  BOOST_TEST(std::ranges::count_if(trip.image.manifest_.open_files(), is_named) == 1);
  must(trip.restore());
}

BOOST_AUTO_TEST_CASE(streams_of_a_child) {
  open_pipe(0, kOutside, kOutside + 1);
  RoundTrip trip(2, [](const Fork& fork) {
    ::dup2(kOutside + 1, 1);
    ::dup2(kOutside + 1, 2);
    fork([] { place(::open("/proc/self/fd/1", O_WRONLY), 10); });
    place(::open("/dev/null", O_RDWR), 1);
    ::dup2(1, 2);
  });
  must(trip.capture_status());
  must(trip.restore({0, kOutside + 1, kOutside + 1}));
  BOOST_TEST(trip.warnings.empty());
  char text[10] = {};
  put(trip.fetch(2, 1).get(), "two");
  BOOST_TEST(::read(kOutside, text, sizeof text) == 3);
  put(trip.fetch(10, 1).get(), "ten");
  BOOST_TEST(::read(kOutside, text, sizeof text) == 3);
  ::close(kOutside);
  ::close(kOutside + 1);
}

BOOST_AUTO_TEST_CASE(refusal_names_the_process) {
  open_pipe(0, kOutside, kOutside + 1);
  RoundTrip trip(2, [](const Fork& fork) { fork([] { ::dup2(kOutside, 10); }); });
  BOOST_REQUIRE(!trip.capture_status().ok());
  const Error error = trip.capture_status().error();
  BOOST_CHECK(error.kind == ErrorKind::kRefused);
  BOOST_TEST(error.message.starts_with("process " + to_string(trip.original(1)) + ": fd 10"),
             error.text());
  ::close(kOutside);
  ::close(kOutside + 1);
}

BOOST_AUTO_TEST_CASE(many_processes) {
  Folder folder;
  std::string path = folder.file("data");
  std::ofstream(path) << "x";
  constexpr unsigned kProcesses = 100;
  RoundTrip trip(kProcesses, [&](const Fork& fork) {
    for (int fd = 10; fd < 20; fd += 2) open_pipe(0, fd, fd + 1);
    for (int fd = 20; fd < 27; ++fd) place(::open(path.c_str(), O_RDONLY), fd);
    for (unsigned i = 1; i < kProcesses; ++i) fork([] {});
  });
  must(trip.capture_status());
  must(trip.restore());
  for (std::size_t process : {1u, 50u, 99u}) {
    for (int fd : {0, 10, 11, 20, 26}) BOOST_TEST(trip.same_file(fd, fd, 0, process));
  }
  BOOST_TEST_MESSAGE("captured in " << trip.capture_time << ", restored in " << trip.restore_time);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
