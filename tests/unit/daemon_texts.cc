// What the daemon reads in /proc, and what it writes to its log.
#include <boost/test/unit_test.hpp>

#include "driver/daemon/event_log.h"
#include "driver/daemon/host_report.h"

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
