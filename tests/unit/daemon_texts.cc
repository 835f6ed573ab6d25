// What the daemon reads in /proc, and what it writes to its log.
#include <boost/test/unit_test.hpp>

#include "driver/daemon/event_log.h"
#include "driver/daemon/host_load.h"
#include "driver/daemon/host_report.h"
#include "driver/daemon/policy_view.h"

namespace {

using namespace ck;
using namespace ck::daemon;

BOOST_AUTO_TEST_SUITE(daemon_texts)

BOOST_AUTO_TEST_CASE(an_event_is_one_line) {
  BOOST_TEST(format_event("ready", {}) == "ready");
  BOOST_TEST(format_event("peer refused", {{"peer", "10.0.0.2:4711"}, {"reason", "no such"}}) ==
             "peer refused peer=10.0.0.2:4711 reason=\"no such\"");
  BOOST_TEST(format_event("x", {{"a", ""}, {"b", "1=2"}}) == "x a=\"\" b=\"1=2\"");
  BOOST_TEST(format_event("x", {{"a", "\n\x1b[2J \"\\"}}) == "x a=\"??[2J \\\"\\\\\"");
}

BOOST_AUTO_TEST_CASE(memory_of_the_host) {
  Memory memory = *parse_meminfo("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  400 kB\n");
  BOOST_TEST(memory.bytes == 1000u << 10);
  BOOST_TEST(memory.free_bytes == 400u << 10);
  BOOST_TEST(parse_meminfo("MemTotal: 1 kB\nMemAvailable: 9 kB\n")->free_bytes == 1024u);
  BOOST_TEST(!parse_meminfo("MemTotal: 1000 kB\n").ok());
  BOOST_TEST(!parse_meminfo("").ok());
}

BOOST_AUTO_TEST_CASE(load_of_the_host) {
  BOOST_TEST(parse_loadavg("0.52 1.00 2.25 1/345 6789\n")->fifteen == 2.25);
  BOOST_TEST(!parse_loadavg("0.52").ok());
}

BOOST_AUTO_TEST_CASE(a_load_that_the_administrator_tells) {
  BOOST_TEST(parse_load_file("1.5\n")->one == 1.5);
  BOOST_TEST(parse_load_file("1.5\n")->fifteen == 1.5);
  BOOST_TEST(parse_load_file("0.52 1.00 2.25 1/345 6789\n")->fifteen == 2.25);
  for (const char* text : {"", "x", "-1", "nan", "inf", "1e9"})
    BOOST_TEST(!parse_load_file(text).ok(), text);
}

BOOST_AUTO_TEST_CASE(a_load_counts_moves_that_it_does_not_show) {
  HostLoad load;
  protocol::wire::HostReport report;
  report.set_processors(2);
  report.set_load_1(2);
  const auto settled = [&] {
    load.set_in(report, "");
    return report.settled_load();
  };
  BOOST_TEST(settled() == 1.0);
  load.job_comes("1", 1);
  load.job_comes("2", 2);
  BOOST_TEST(settled() == 2.5, boost::test_tools::tolerance(0.01));
  BOOST_TEST(load.to_give_away(report) == 1.0);
  load.job_does_not_come("2");
  load.job_left("3", 1);
  BOOST_TEST(settled() == 1.5, boost::test_tools::tolerance(0.01));
  BOOST_TEST(load.to_give_away(report) == 0.5, boost::test_tools::tolerance(0.02));
}

BOOST_AUTO_TEST_CASE(a_load_file_that_cannot_be_read_leaves_the_kernels_word) {
  HostLoad load;
  protocol::wire::HostReport report;
  report.set_processors(1);
  report.set_load_1(3);
  load.set_in(report, "/nonexistent/load");
  BOOST_TEST(report.load_1() == 3);
  BOOST_TEST(report.settled_load() == 3);
}

BOOST_AUTO_TEST_CASE(hosts_as_the_policy_sees_them) {
  protocol::wire::HostsReply hosts;
  for (const char* name : {"own", "less", "silent", "more"}) {
    protocol::wire::HostRow& row = *hosts.add_rows();
    row.set_name(name);
    if (row.name() == "silent") continue;
    row.mutable_report()->set_settled_load(0.5);
    row.mutable_report()->add_cpu_features("aes");
    if (row.name() != "less") row.mutable_report()->add_cpu_features("avx");
    if (row.name() == "more") row.mutable_report()->add_cpu_features("bmi1");
  }
  const auto views = views_of_peers(hosts, {});
  BOOST_REQUIRE_EQUAL(views.size(), 2u);
  BOOST_TEST(views[0].name == "less");
  BOOST_TEST(views[0].features == 0u);
  BOOST_TEST(views[1].features == kAllFeatures);
  BOOST_TEST(views[1].load == 0.5);
}

BOOST_AUTO_TEST_CASE(supervisors_are_counted_once) {
  BOOST_TEST(count_supervisors("Num RefCount Protocol Flags Type St Inode Path\n"
                               "0: 2 0 10000 1 1 1 @ckrun-4026531836-10\n"
                               "0: 3 0 0 1 3 2 @ckrun-4026531836-10\n"
                               "0: 3 0 0 1 3 2 @ckrun-4026531836-11\n"
                               "0: 3 0 0 1 3 2 /run/x\n") == 2u);
  BOOST_TEST(count_supervisors("") == 0u);
}

BOOST_AUTO_TEST_CASE(a_report_of_this_host_passes_its_own_check) {
  protocol::wire::HostReport report = *report_host("here");
  BOOST_TEST(report.processors() > 0u);
  BOOST_TEST(report.cpu_digest() != 0u);
  BOOST_TEST(report.memory_bytes() > report.memory_free_bytes());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
