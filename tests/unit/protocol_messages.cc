// Frames and messages between daemons: limits, and fields that are refused by name.
#include <boost/test/unit_test.hpp>
#include <limits>

#include "driver/protocol/check.h"
#include "driver/protocol/environment.h"
#include "driver/protocol/frame.h"

namespace {

using namespace ck;
using namespace ck::protocol;

FrameHeader header(std::uint32_t length) {
  FrameHeader bytes;
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<unsigned char>(length >> (8 * i));
  return bytes;
}

wire::PeerMessage good_report() {
  wire::PeerMessage message;
  wire::HostReport& report = *message.mutable_host_report();
  report.set_host("node-1.example");
  report.set_processors(2);
  report.set_memory_bytes(100);
  report.set_memory_free_bytes(50);
  report.add_cpu_features("avx2");
  return message;
}

wire::PeerMessage good_join() {
  wire::PeerMessage message;
  message.mutable_join_request()->set_host("b");
  message.mutable_join_request()->set_address("10.0.0.2:7381");
  message.mutable_join_request()->set_request_pem("-----BEGIN CERTIFICATE REQUEST-----\n");
  return message;
}

void refuses(const wire::PeerMessage& message, const std::string& field) {
  Status status = check(message);
  BOOST_REQUIRE(!status.ok());
  BOOST_TEST(status.error().message.find(field) != std::string::npos, status.error().message);
  BOOST_TEST(status.error().message.find('\n') == std::string::npos);
}

BOOST_AUTO_TEST_SUITE(protocol_messages)

BOOST_AUTO_TEST_CASE(lengths_have_limits) {
  BOOST_TEST(*frame_length(header(10), 10) == 10u);
  BOOST_TEST(!frame_length(header(11), 10).ok());
  BOOST_TEST(!frame_length(header(0), 10).ok());
  BOOST_TEST(!frame_length(header(0xffffffff), kLongestMessage).ok());
}

BOOST_AUTO_TEST_CASE(a_message_goes_and_comes) {
  std::string frame = *make_frame(good_report());
  FrameHeader head;
  std::copy_n(frame.begin(), 4, head.begin());
  BOOST_TEST(*frame_length(head, kLongestMessage) == frame.size() - 4);
  wire::PeerMessage back = *parse_peer_message(frame.substr(4));
  BOOST_TEST(back.host_report().host() == "node-1.example");
  BOOST_TEST(!make_frame(good_report(), 5).ok());
}

BOOST_AUTO_TEST_CASE(damage_is_an_error) {
  std::string body = make_frame(good_report())->substr(4);
  for (std::size_t size = 0; size < body.size(); ++size) {
    (void)parse_peer_message(body.substr(0, size));  // no crash
  }
  BOOST_TEST(!parse_peer_message("\xff\xff\xff").ok());
  BOOST_TEST(!parse_peer_message("").ok());
  BOOST_TEST(!parse_control_request("").ok());
  BOOST_TEST(!parse_control_reply("").ok());
}

BOOST_AUTO_TEST_CASE(a_report_has_sensible_numbers) {
  BOOST_TEST(check(good_report()).ok());
  wire::PeerMessage message = good_report();
  message.mutable_host_report()->set_host("a b");
  refuses(message, "report.host");
  message = good_report();
  message.mutable_host_report()->set_processors(0);
  refuses(message, "report.processors");
  message = good_report();
  message.mutable_host_report()->set_load_5(std::numeric_limits<double>::quiet_NaN());
  refuses(message, "report.load");
  message = good_report();
  message.mutable_host_report()->set_memory_free_bytes(101);
  refuses(message, "report.memory_free_bytes");
  message = good_report();
  message.mutable_host_report()->add_cpu_features("\x1b[2J");
  refuses(message, "report.cpu_features");
}

BOOST_AUTO_TEST_CASE(job_lists_are_bounded) {
  wire::PeerMessage message;
  message.mutable_job_list()->add_jobs()->set_command("a\nb");
  refuses(message, "job.command");
  message.Clear();
  for (int i = 0; i <= kMostJobs; ++i) message.mutable_job_list()->add_jobs();
  refuses(message, "job_list.jobs");
  message.Clear();
  message.mutable_jobs_query();
  refuses(message, "jobs_query.user");
}

BOOST_AUTO_TEST_CASE(who_joins_says_what_is_needed) {
  BOOST_TEST(check(good_join()).ok());
  wire::PeerMessage message = good_join();
  message.mutable_join_request()->set_host("../etc");
  refuses(message, "join.host");
  message = good_join();
  message.mutable_join_request()->set_address("10.0.0.2");
  refuses(message, "join.address");
  message = good_join();
  message.mutable_join_request()->set_request_pem("x");
  refuses(message, "join.request_pem");
}

BOOST_AUTO_TEST_CASE(news_and_admission) {
  wire::PeerMessage message;
  message.mutable_admission()->set_certificate_pem("-----BEGIN CERTIFICATE-----\n");
  refuses(message, "admission.news");
  wire::News& news = *message.mutable_admission()->mutable_news();
  refuses(message, "news.authority_pem");
  news.set_authority_pem("-----BEGIN CERTIFICATE-----\n");
  BOOST_TEST(check(message).ok());
  news.add_peers()->set_name("b");
  refuses(message, "peer.address");
  news.mutable_peers(0)->set_address("b:0");
  refuses(message, "peer.address");
}

BOOST_AUTO_TEST_CASE(requests_of_ckpt) {
  wire::ControlRequest request;
  request.mutable_hosts();
  BOOST_TEST(!check(request).ok());
  request.set_version(kControlVersion);
  BOOST_TEST(check(request).ok());
  request.clear_kind();
  BOOST_TEST(!check(request).ok());
}

wire::PeerMessage good_run() {
  wire::PeerMessage message;
  message.mutable_run()->set_user("ann");
  wire::RunOrder& order = *message.mutable_run()->mutable_order();
  order.add_arguments("vi");
  order.add_environment("TEXT=two\nlines = one");
  order.add_environment("EMPTY=");
  order.set_folder("/home/ann");
  order.set_umask(027);
  order.mutable_terminal()->set_modes(std::string(44, '\0'));
  order.mutable_terminal()->set_rows(24);
  return message;
}

BOOST_AUTO_TEST_CASE(an_order_to_run) {
  const wire::PeerMessage good = good_run();
  BOOST_TEST(check(good).ok());
  const auto refused = [&good](const std::string& field, const auto& change) {
    wire::PeerMessage message = good;
    change(*message.mutable_run()->mutable_order());
    refuses(message, field);
  };
  refused("run.arguments", [](wire::RunOrder& order) { order.clear_arguments(); });
  refused("run.arguments",
          [](wire::RunOrder& order) { order.add_arguments(std::string("a\0b", 3)); });
  refused("run.arguments", [](wire::RunOrder& order) {
    for (int i = 0; i < kMostWords; ++i) order.add_arguments("x");
  });
  for (const std::string& entry : {std::string("=x"), std::string("x"), std::string("x=\0", 3)})
    refused("run.environment", [&](wire::RunOrder& order) { order.add_environment(entry); });
  refused("run is too long", [](wire::RunOrder& order) {
    order.add_environment("LONG=" + std::string(kLongestOrder, 'x'));
  });
  refused("run.folder", [](wire::RunOrder& order) { order.set_folder("here"); });
  refused("run.folder",
          [](wire::RunOrder& order) { order.set_folder("/" + std::string(4096, 'x')); });
  refused("run.umask", [](wire::RunOrder& order) { order.set_umask(01000); });
  refused("run.terminal.modes",
          [](wire::RunOrder& order) { order.mutable_terminal()->set_modes("x"); });
  refused("run.terminal", [](wire::RunOrder& order) { order.mutable_terminal()->set_rows(65536); });
  wire::PeerMessage message = good;
  message.mutable_run()->clear_user();
  refuses(message, "run.user");
}

BOOST_AUTO_TEST_CASE(the_longest_order_fits_a_message) {
  wire::PeerMessage message = good_run();
  wire::RunOrder& order = *message.mutable_run()->mutable_order();
  order.clear_environment();
  order.clear_arguments();
  for (int i = 0; i < kMostWords; ++i) order.add_arguments("x");
  for (int i = 0; i < kMostWords; ++i) order.add_environment("x=" + std::string(60, 'x'));
  BOOST_TEST(check(message).ok());
  BOOST_TEST(make_frame(message).ok());
}

BOOST_AUTO_TEST_CASE(what_was_started) {
  wire::PeerMessage message;
  wire::Started& started = *message.mutable_started();
  refuses(message, "started.job");
  started.set_job("abc");
  started.set_server(12);
  BOOST_TEST(check(message).ok());
  started.set_exit_status(256);
  refuses(message, "started.exit_status");
  started.set_exit_status(0);
  started.set_name("a\nb");
  refuses(message, "started.name");
  started.clear_name();
  started.mutable_failure();
  refuses(message, "refusal.message");
}

BOOST_AUTO_TEST_CASE(variables_of_a_host) {
  BOOST_TEST((belonging_of("PATH=/bin") == Belonging::kUser));
  BOOST_TEST((belonging_of("HOMELY=1") == Belonging::kUser));
  BOOST_TEST((belonging_of("HOME=/root") == Belonging::kThere));
  BOOST_TEST((belonging_of("CKRUN_DIR=") == Belonging::kThere));
  BOOST_TEST((belonging_of("SSH_TTY=/dev/pts/1") == Belonging::kHost));
  BOOST_TEST((belonging_of("DISPLAY") == Belonging::kHost));
}

BOOST_AUTO_TEST_CASE(addresses) {
  Address address = *split_address("[fd00::1]:7381");
  BOOST_TEST(address.host == "fd00::1");
  BOOST_TEST(address.port == "7381");
  BOOST_TEST(split_address("node-1.example:1")->host == "node-1.example");
  for (const char* bad : {"", ":", "a", "a:", ":1", "a:65536", "a:-1", "a:1x", "a b:1", "fd00::1:1",
                          "[]:1", "a\n:1"}) {
    BOOST_TEST(!split_address(bad).ok(), bad);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_comes_back_as_the_error_it_was) {
  Error error = make_error(ErrorKind::kPermission, "no\nsuch", "do that");
  Error back = error_of(refusal_of(error));
  BOOST_TEST((back.kind == ErrorKind::kPermission));
  BOOST_TEST(back.message == "no?such");
  BOOST_TEST(back.hint == "do that");
  wire::Refusal odd;
  odd.set_kind(99);
  BOOST_TEST((error_of(odd).kind == ErrorKind::kSystem));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
