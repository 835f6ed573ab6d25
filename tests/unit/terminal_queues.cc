#include <fcntl.h>
#include <poll.h>
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
  std::string read_slave() const {
    char bytes[5000];
    const ssize_t count = ::read(slave.get(), bytes, sizeof bytes);
    return count < 0 ? "nothing" : std::string(bytes, static_cast<std::size_t>(count));
  }
  // What a checkpoint does with the terminal of a job that goes on.
  std::string look() const {
    const Modes modes = modes_of(master.get()).value();
    const std::string seen = take_input(master.get(), slave.get()).value();
    put_input(master.get(), modes, seen).value();
    return seen;
  }
};

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
