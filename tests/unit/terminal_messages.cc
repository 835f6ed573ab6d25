// What the two ends of a terminal may say to each other: fields that are refused by name, and bytes
// that are numbered across connections that break.
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "driver/protocol/frame.h"
#include "driver/terminal/check.h"
#include "driver/terminal/link.h"
#include "driver/terminal/numbered_bytes.h"

namespace {

using namespace ck;
using namespace ck::driver::terminal;

void refuses(const wire::Message& message, const std::string& words) {
  const Status status = check(message);
  BOOST_REQUIRE(!status.ok());
  BOOST_TEST(status.error().message.find(words) != std::string::npos, status.error().message);
  BOOST_TEST(status.error().message.find('\n') == std::string::npos);
}

wire::Message good_greeting() {
  wire::Message message;
  message.mutable_greeting()->set_version(kVersion);
  message.mutable_greeting()->set_session(std::string(kSessionBytes, 's'));
  message.mutable_greeting()->mutable_window()->set_rows(24);
  return message;
}

struct Ends {
  Ends() {
    int fds[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    ours.reset(fds[0]);
    theirs.reset(fds[1]);
  }
  UniqueFd ours, theirs;
};

BOOST_AUTO_TEST_SUITE(terminal_messages)

BOOST_AUTO_TEST_CASE(a_greeting) {
  BOOST_TEST(check(good_greeting()).ok());
  wire::Message message = good_greeting();
  message.mutable_greeting()->set_version(kVersion + 1);
  refuses(message, "versions");
  message = good_greeting();
  message.mutable_greeting()->set_session("short");
  refuses(message, "greeting.session");
  message = good_greeting();
  message.mutable_greeting()->mutable_window()->set_columns(65536);
  refuses(message, "window");
}

BOOST_AUTO_TEST_CASE(a_welcome) {
  wire::Message message;
  message.mutable_welcome()->set_name("trip");
  BOOST_TEST(check(message).ok());
  message.mutable_welcome()->mutable_modes()->set_end_of_input(256);
  refuses(message, "modes.end_of_input");
  message.mutable_welcome()->clear_modes();
  message.mutable_welcome()->set_name("a\x1b[2J");
  refuses(message, "welcome.name");
}

BOOST_AUTO_TEST_CASE(commands_and_events) {
  wire::Message message;
  message.mutable_command();
  refuses(message, "command");
  for (const int number : {0, 65, -1}) {
    message.mutable_command()->set_signal(number);
    refuses(message, "command.signal");
  }
  message.mutable_command()->set_background(0);
  BOOST_TEST(check(message).ok());
  message.mutable_event();
  refuses(message, "event");
  message.mutable_event()->set_stopped(0);
  refuses(message, "event.stopped");
  message.mutable_event()->set_tell("two\nlines");
  refuses(message, "event.tell");
  message.mutable_event()->set_tell(std::string(kLongestText + 1, 'x'));
  refuses(message, "event.tell");
}

BOOST_AUTO_TEST_CASE(an_end) {
  wire::Message message;
  wire::Ended& ended = *message.mutable_event()->mutable_ended();
  ended.set_status(130);
  BOOST_TEST(check(message).ok());
  ended.set_moved_to("../b");
  BOOST_TEST(!check(message).ok());
  ended.set_moved_to("b");
  BOOST_TEST(check(message).ok());
  for (const int status : {-1, 0x10000}) {
    ended.set_status(status);
    refuses(message, "ended.status");
  }
}

BOOST_AUTO_TEST_CASE(pieces_have_a_length) {
  wire::Message message;
  message.mutable_piece();
  refuses(message, "piece.bytes");
  message.mutable_piece()->set_bytes(std::string(kLongestPiece, 'x'));
  BOOST_TEST(check(message).ok());
  BOOST_TEST(protocol::make_frame(message, kLongestFrame).ok());
  message.mutable_piece()->set_bytes(std::string(kLongestPiece + 1, 'x'));
  refuses(message, "piece.bytes");
  refuses(wire::Message(), "kind");
}

BOOST_AUTO_TEST_CASE(a_link_takes_whole_messages) {
  Ends ends;
  Link link(std::move(ends.ours));
  const std::string frame = *protocol::make_frame(good_greeting(), kLongestFrame);
  for (const char byte : frame) {
    auto message = link.next();
    BOOST_REQUIRE(message.ok());
    BOOST_TEST(!message->has_value());
    BOOST_REQUIRE(::write(ends.theirs.get(), &byte, 1) == 1);
    link.read();
  }
  auto message = link.next();
  BOOST_REQUIRE(message.ok());
  BOOST_REQUIRE(message->has_value());
  BOOST_TEST((*message)->has_greeting());
  ends.theirs.reset();
  link.read();
  BOOST_TEST(!link.next().ok());
}

BOOST_AUTO_TEST_CASE(a_link_refuses_what_is_none) {
  for (const std::string& bytes : {std::string("\xff\xff\xff\xff", 4), std::string(4, '\0'),
                                   std::string("\2\0\0\0\xff\xff", 6)}) {
    Ends ends;
    Link link(std::move(ends.ours));
    BOOST_REQUIRE(::write(ends.theirs.get(), bytes.data(), bytes.size()) ==
                  static_cast<ssize_t>(bytes.size()));
    link.read();
    BOOST_TEST(!link.next().ok());
  }
}

BOOST_AUTO_TEST_CASE(bytes_are_kept_until_they_are_taken) {
  NumberedBytes bytes(8);
  bytes.add("abcdef");
  BOOST_TEST(bytes.room() == 2u);
  BOOST_TEST(bytes.unsent(4) == "abcd");
  bytes.sent(4);
  BOOST_TEST(bytes.unsent(4) == "ef");
  BOOST_TEST(!bytes.taken(7));  // never sent
  BOOST_TEST(bytes.taken(3));
  BOOST_TEST(bytes.begin() == 3u);
  BOOST_TEST(bytes.end() == 6u);
  BOOST_TEST(!bytes.taken(2));  // taken already
  BOOST_TEST(bytes.unsent(4) == "ef");
  BOOST_TEST(bytes.resume(4));  // a new connection: what it has not is sent again
  BOOST_TEST(bytes.unsent(8) == "ef");
  BOOST_TEST(!bytes.resume(3));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
