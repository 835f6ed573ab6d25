#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "runtime/base/unique_fd.h"
#include "runtime/job/control_client.h"
#include "runtime/job/control_server.h"

using namespace ck::job;
using ck::ErrorKind;
using ck::RealPid;
using ck::UniqueFd;
using std::chrono::milliseconds;

namespace {

// A server in a thread of its own; answers status requests, keeps checkpoint requests waiting.
class Server {
 public:
  Server() {
    auto listening = open_control_socket(socket_name(name_space_, pid_));
    BOOST_REQUIRE(listening.ok());
    BOOST_REQUIRE(server_.serve(std::move(*listening), milliseconds(300)).ok());
    thread_ = std::thread([this] { io_.run_for(std::chrono::seconds(30)); });
  }
  ~Server() {
    io_.stop();
    thread_.join();
  }
  std::uint64_t name_space() const { return name_space_; }
  RealPid pid() const { return pid_; }
  ck::Result<ControlClient> connect() const { return ControlClient::connect(name_space_, pid_); }
  // A bare connection.
  UniqueFd connect_raw() const {
    UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t size = 0;
    sockaddr_un address = socket_address(socket_name(name_space_, pid_), &size);
    BOOST_REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    return fd;
  }

 private:
  static inline int instances_ = 0;
  // No pid namespace has a number so small.
  std::uint64_t name_space_ = static_cast<std::uint64_t>(++instances_);
  RealPid pid_{getpid()};
  boost::asio::io_context io_;
  ControlServer server_{io_,
                        [this](std::shared_ptr<ControlSession> session, wire::Request request) {
                          if (request.has_unhold()) {
                            wire::Reply last;
                            last.mutable_status()->set_name("last words");
                            session->send_progress({});
                            session->send_last(last);
                            ControlSession::when_all_sent([this] { io_.stop(); });
                            return;
                          }
                          if (!request.has_status()) {
                            session->send_progress({});
                            waiting_.push_back(session);
                            return;
                          }
                          wire::Reply reply;
                          reply.mutable_status()->set_name("caf\xe9");
                          session->send_last(reply);
                        }};
  std::vector<std::shared_ptr<ControlSession>> waiting_;
  std::thread thread_;
};

// What comes until the server closes, or "late" if it does not within two seconds.
std::string read_to_end(int fd) {
  std::string result;
  for (;;) {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, 2000) != 1) return "late";
    char buffer[4096];
    ssize_t count = read(fd, buffer, sizeof buffer);
    if (count <= 0) return result;
    result.append(buffer, static_cast<std::size_t>(count));
  }
}

void send_raw(int fd, const std::string& bytes) {
  BOOST_REQUIRE(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
}

bool is_failure(const std::string& frame) {
  wire::Reply reply;
  return frame.size() > 4 && reply.ParseFromString(frame.substr(4)) && reply.has_error();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(job_control)

BOOST_AUTO_TEST_CASE(frames) {
  BOOST_TEST(*frame_length({5, 0, 0, 0}) == 5u);
  BOOST_TEST(*frame_length({0, 0, 1, 0}) == kLongestFrame);
  BOOST_TEST(!frame_length({0, 0, 0, 0}).ok());
  BOOST_TEST(!frame_length({1, 0, 1, 0}).ok());
  BOOST_TEST(!frame_length({0xff, 0xff, 0xff, 0xff}).ok());
  BOOST_TEST(make_frame("abc") == std::string("\3\0\0\0abc", 7));
}

BOOST_AUTO_TEST_CASE(errors_travel_whole) {
  ck::Error error =
      error_of(failure_reply(ck::make_error(ErrorKind::kTryAgain, "caf\xe9", "later")).error());
  BOOST_TEST((error.kind == ErrorKind::kTryAgain));
  BOOST_TEST(error.message == "caf\xe9");
  BOOST_TEST(error.hint == "later");
  wire::Failure strange;
  strange.set_kind(1000);
  BOOST_TEST((error_of(strange).kind == ErrorKind::kSystem));
  ck::Error endless = ck::make_error(ErrorKind::kBug, std::string(1 << 20, 'x'));
  BOOST_TEST(failure_reply(endless).SerializeAsString().size() < kLongestFrame);
}

// An end of the server does not cut off a reply that stands behind another one.
BOOST_AUTO_TEST_CASE(last_words_are_heard) {
  Server server;
  UniqueFd client = server.connect_raw();
  wire::Request request;
  request.set_version(kProtocolVersion);
  request.mutable_unhold();
  send_raw(client.get(), make_frame(request.SerializeAsString()));
  BOOST_TEST((read_to_end(client.get()).find("last words") != std::string::npos));
}

BOOST_AUTO_TEST_CASE(a_request_is_answered) {
  Server server;
  for (int i = 0; i < 3; ++i) {
    auto client = server.connect();
    BOOST_REQUIRE(client.ok());
    auto status = client->status();
    BOOST_REQUIRE(status.ok());
    BOOST_TEST(status->name() == "caf\xe9");
  }
}

BOOST_AUTO_TEST_CASE(nobody_there) {
  auto client = ControlClient::connect(0, RealPid(1));
  BOOST_REQUIRE(!client.ok());
  BOOST_TEST((client.error().kind == ErrorKind::kNotFound));
}

BOOST_AUTO_TEST_CASE(garbage_is_refused) {
  Server server;
  UniqueFd fd = server.connect_raw();
  send_raw(fd.get(), make_frame("\xff\xff\xff\xff garbage"));
  BOOST_TEST(is_failure(read_to_end(fd.get())));
}

BOOST_AUTO_TEST_CASE(an_impossible_length_is_refused) {
  Server server;
  UniqueFd fd = server.connect_raw();
  send_raw(fd.get(), "\xff\xff\xff\x7f");
  BOOST_TEST(is_failure(read_to_end(fd.get())));
}

BOOST_AUTO_TEST_CASE(another_version_is_refused) {
  Server server;
  UniqueFd fd = server.connect_raw();
  wire::Request request;
  request.set_version(kProtocolVersion + 1);
  request.mutable_status();
  send_raw(fd.get(), make_frame(request.SerializeAsString()));
  BOOST_TEST(is_failure(read_to_end(fd.get())));
}

BOOST_AUTO_TEST_CASE(a_slow_client_is_dropped_and_holds_nobody_up) {
  Server server;
  UniqueFd slow = server.connect_raw();
  UniqueFd slower = server.connect_raw();
  send_raw(slow.get(), "\x10");
  BOOST_TEST(server.connect()->status().ok());
  BOOST_TEST(read_to_end(slow.get()) == "");
  BOOST_TEST(read_to_end(slower.get()) == "");
}

BOOST_AUTO_TEST_CASE(too_many_clients_are_turned_away) {
  Server server;
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 60; ++i) clients.push_back(server.connect_raw());
  for (const UniqueFd& client : clients) BOOST_TEST(read_to_end(client.get()) == "");
  BOOST_TEST(server.connect()->status().ok());
}

BOOST_AUTO_TEST_CASE(a_client_does_not_wait_for_ever) {
  Server server;
  auto client = server.connect();
  wire::Request request;
  request.mutable_checkpoint();
  int progress = 0;
  auto reply = client->ask(request, milliseconds(200), [&](const auto&) { ++progress; });
  BOOST_REQUIRE(!reply.ok());
  BOOST_TEST((reply.error().kind == ErrorKind::kTryAgain));
  BOOST_TEST(progress == 1);
}

BOOST_AUTO_TEST_SUITE_END()
