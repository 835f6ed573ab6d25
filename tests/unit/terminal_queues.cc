#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "runtime/terminal/queues.h"

using namespace ck::terminal;

namespace {

struct Pair {
  ck::UniqueFd master = open_master().value();
  ck::UniqueFd slave = open_slave(master.get(), O_RDWR | O_NONBLOCK).value();

  void set(tcflag_t local, bool canonical) const {
    Modes modes = modes_of(master.get()).value();
    modes.c_lflag = local | (canonical ? ICANON : 0u);
    set_modes(master.get(), modes).value();
  }
  void type(const std::string& text) const {
    BOOST_REQUIRE(::write(master.get(), text.data(), text.size()) ==
                  static_cast<ssize_t>(text.size()));
    pollfd arrived{slave.get(), POLLIN, 0};  // the kernel hands it over later, but for this
    ::poll(&arrived, 1, 0);
  }
  // The kernel's worker takes a long write over piece by piece, and poll(2) waits for the first
  // only.
  void wait_queued(int bytes) const {
    int there = 0;
    for (int naps = 0; naps < 10'000; ++naps) {
      BOOST_REQUIRE(::ioctl(slave.get(), FIONREAD, &there) == 0);
      if (there == bytes) return;
      ::poll(nullptr, 0, 1);
    }
    BOOST_TEST(there == bytes);
  }
  std::string read_slave() const {
    char bytes[5000];
    const ssize_t count = ::read(slave.get(), bytes, sizeof bytes);
    return count < 0 ? "nothing" : std::string(bytes, static_cast<std::size_t>(count));
  }
  // As much, in as many reads as it takes: the kernel's worker brings it.
  std::string read_slave(std::size_t size) const {
    std::string text;
    pollfd wait{slave.get(), POLLIN, 0};
    while (text.size() < size && ::poll(&wait, 1, 10'000) > 0) text += read_slave();
    return text;
  }
  // What a checkpoint does with the terminal of a job that goes on.
  std::string look() const {
    const Modes modes = modes_of(master.get()).value();
    const Input seen = take_input(master.get(), slave.get()).value();
    BOOST_TEST(put_input(master.get(), modes, seen).value() == seen.behind.size());
    return seen.queued + seen.behind;
  }
};

// Writes until nothing more goes in.
std::string fill(int fd, int other_end, std::size_t part) {
  std::string all;
  for (char letter = 'a'; all.size() < 100000; letter = letter == 'z' ? 'a' : letter + 1) {
    const std::string some(part, letter);
    pollfd arrived{other_end, POLLIN, 0};
    ::poll(&arrived, 1, 0);
    const ssize_t count = ::write(fd, some.data(), some.size());
    if (count <= 0) return all;
    all += some.substr(0, static_cast<std::size_t>(count));
  }
  return all;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(terminal_queues)

BOOST_AUTO_TEST_CASE(unfinished_line_stays_unfinished) {
  const Pair pty;
  pty.set(ECHO | ISIG, true);
  pty.type("one\ntwo\nhalf");
  BOOST_TEST(pty.look() == "one\ntwo\nhalf");
  BOOST_TEST(pty.read_slave() == "one\n");
  BOOST_TEST(pty.look() == "two\nhalf");
  BOOST_TEST(pty.read_slave() == "two\n");
  BOOST_TEST(pty.read_slave() == "nothing");
  pty.type("\x7f\x7fs\n");  // it can still be edited
  BOOST_TEST(pty.read_slave() == "has\n");
  BOOST_TEST(take_output(pty.master.get()).value().find("one\r\n") == 0u);
}

// However a queue was filled, it takes back what it gave.
BOOST_AUTO_TEST_CASE(full_queues_take_all_back) {
  for (const std::size_t part : {1, 10, 255, 500, 512, 1000, 1024, 1792, 2048, 3584, 65536}) {
    const Pair pty;
    pty.set(0, false);
    const std::string typed = fill(pty.master.get(), pty.slave.get(), part);
    BOOST_TEST(pty.look() == typed);
    BOOST_TEST(pty.look() == typed);
    const std::string written = fill(pty.slave.get(), pty.master.get(), part);
    const std::string seen = take_output(pty.master.get()).value();
    BOOST_TEST(seen == written);
    BOOST_TEST(!put_output(pty.master.get(), pty.slave.get(), seen).value().halted);
    BOOST_TEST(take_output(pty.master.get()).value() == written);
  }
}

// ^C behind a full queue is no signal before there is room, and CR becomes NL only then.
BOOST_AUTO_TEST_CASE(keys_behind_a_full_queue) {
  const Pair pty;
  pty.set(0, false);
  const std::string typed = fill(pty.master.get(), pty.slave.get(), 256).substr(0, 8000);
  while (pty.read_slave() != "nothing") {
  }
  pty.set(ISIG, false);
  pty.type(typed.substr(0, 4095));
  pty.wait_queued(4095);
  pty.type(
      "\r\x03"
      "x");
  const Modes modes = modes_of(pty.master.get()).value();
  const Input seen = take_input(pty.master.get(), pty.slave.get()).value();
  BOOST_TEST(seen.queued == typed.substr(0, 4095));
  BOOST_TEST(seen.behind ==
             "\r\x03"
             "x");
  BOOST_TEST(put_input(pty.master.get(), modes, seen).value() == 3u);
  BOOST_TEST(pty.read_slave() == seen.queued);
  pty.type("y");
  BOOST_TEST(pty.read_slave(2) == "xy");  // ^C has taken the line before it away
}

BOOST_AUTO_TEST_CASE(end_of_file_that_nobody_has_read) {
  const Pair pty;
  pty.set(0, true);
  pty.type("last\n\004");
  BOOST_TEST(pty.look() == std::string("last\n\0", 6));
  BOOST_TEST(pty.read_slave() == "last\n");
  BOOST_TEST(pty.read_slave() == "");
  BOOST_TEST(pty.read_slave() == "nothing");
}

BOOST_AUTO_TEST_CASE(raw_input_is_kept_byte_by_byte) {
  const Pair pty;
  Modes modes = raw(modes_of(pty.master.get()).value());
  modes.c_cc[VMIN] = 10;
  set_modes(pty.master.get(), modes).value();
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  pty.type(all);
  BOOST_TEST((pty.look() == all));
  BOOST_TEST((pty.read_slave() == all));
  BOOST_TEST(modes_of(pty.master.get()).value().c_cc[VMIN] == 10);
  BOOST_TEST(take_output(pty.master.get()).value().empty());
}

BOOST_AUTO_TEST_CASE(output_goes_back_as_it_was) {
  const Pair pty;
  const std::string text = "lines\nof\toutput\n";
  BOOST_REQUIRE(::write(pty.slave.get(), text.data(), text.size()) > 0);
  const std::string seen = take_output(pty.master.get()).value();
  BOOST_TEST(seen == "lines\r\nof\toutput\r\n");
  BOOST_TEST(!put_output(pty.master.get(), pty.slave.get(), seen).value().halted);
  BOOST_TEST(take_output(pty.master.get()).value() == seen);
}

BOOST_AUTO_TEST_CASE(halted_output_stays_halted) {
  const Pair pty;
  BOOST_REQUIRE(::write(pty.slave.get(), "before", 6) == 6);
  pty.type("\x13");  // ^S
  const std::string seen = take_output(pty.master.get()).value();
  BOOST_TEST(seen.substr(0, 6) == "before");
  BOOST_TEST(put_output(pty.master.get(), pty.slave.get(), seen).value().halted);
  BOOST_TEST(take_output(pty.master.get()).value() == seen);
  BOOST_TEST(::write(pty.slave.get(), "after", 5) == -1);
  pty.type("\x11");  // ^Q
  BOOST_TEST(::write(pty.slave.get(), "after", 5) == 5);
}

BOOST_AUTO_TEST_CASE(number_is_taken_or_not) {
  const Pair pty;
  const unsigned number = number_of(pty.master.get()).value();
  BOOST_TEST(!open_master(number).value().has_value());
}

BOOST_AUTO_TEST_SUITE_END()
