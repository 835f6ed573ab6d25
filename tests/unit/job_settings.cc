#include <boost/test/unit_test.hpp>

#include "runtime/job/settings.h"

using namespace ck::job;
using std::chrono::milliseconds;

BOOST_AUTO_TEST_SUITE(job_settings)

BOOST_AUTO_TEST_CASE(durations) {
  BOOST_TEST(parse_duration("10m")->count() == 600'000);
  BOOST_TEST(parse_duration("90s")->count() == 90'000);
  BOOST_TEST(parse_duration("1h30m")->count() == 5'400'000);
  BOOST_TEST(parse_duration("2d")->count() == 172'800'000);
  BOOST_TEST(parse_duration("500ms")->count() == 500);
  BOOST_TEST(parse_duration("1m500ms")->count() == 60'500);
  BOOST_TEST(parse_duration("45")->count() == 45'000);
  BOOST_TEST(parse_duration("0")->count() == 0);
}

BOOST_AUTO_TEST_CASE(no_durations) {
  for (const char* text : {"", "m", "10x", "-5s", "1h30", "10 m", "1.5h", "9999999999d", "5s ",
                           "99999999999999999999s", "10M"}) {
    BOOST_TEST_CONTEXT(text) {
      auto result = parse_duration(text);
      BOOST_REQUIRE(!result.ok());
      BOOST_TEST((result.error().kind == ck::ErrorKind::kUsage));
    }
  }
}

BOOST_AUTO_TEST_CASE(intervals_between_checkpoints) {
  BOOST_TEST(parse_interval("1s")->count() == 1000);
  BOOST_TEST(parse_interval("0")->count() == 0);
  BOOST_TEST((parse_interval("999ms").error().kind == ck::ErrorKind::kUsage));
  BOOST_TEST((parse_interval("soon").error().kind == ck::ErrorKind::kUsage));
}

BOOST_AUTO_TEST_CASE(durations_are_printed_as_they_are_read) {
  for (const char* text : {"0s", "1s", "10m", "1h30m", "2d", "1d1h1m1s1ms"}) {
    BOOST_TEST(format_duration(*parse_duration(text)) == text);
  }
}

BOOST_AUTO_TEST_CASE(compression) {
  BOOST_TEST((*parse_compression("none") == Compression{ck::image::Codec::kRaw, 0}));
  BOOST_TEST((*parse_compression("zstd") == Compression{ck::image::Codec::kZstd, 1}));
  BOOST_TEST((*parse_compression("zstd:19") == Compression{ck::image::Codec::kZstd, 19}));
  for (const char* text :
       {"", "gzip", "zstd:", "zstd:0", "zstd:20", "zstd:-8", "zstd:3x", "ZSTD", "none:1"}) {
    BOOST_TEST(!parse_compression(text).ok(), text);
  }
  for (const char* text : {"none", "zstd:1", "zstd:7"}) {
    BOOST_TEST(format_compression(*parse_compression(text)) == text);
  }
}

BOOST_AUTO_TEST_CASE(classes) {
  for (const char* text : {"default", "night-2", "A.b_c"})
    BOOST_TEST(*parse_job_class(text) == text);
  for (const std::string& text : {std::string(), std::string("a b"), std::string("a/b"),
                                  std::string(33, 'x'), std::string("\n")})
    BOOST_TEST(!parse_job_class(text).ok(), text);
}

BOOST_AUTO_TEST_CASE(signals) {
  BOOST_TEST(*parse_signal("SIGUSR2") == SIGUSR2);
  BOOST_TEST(*parse_signal("usr1") == SIGUSR1);
  BOOST_TEST(*parse_signal("15") == SIGTERM);
  BOOST_TEST(*parse_signal("40") == 40);
  for (const char* text : {"", "SIG", "SIGNONE", "0", "65", "-1", "USR2 "}) {
    BOOST_TEST(!parse_signal(text).ok(), text);
  }
  for (int number : {SIGUSR2, SIGTERM, 40}) {
    BOOST_TEST(*parse_signal(format_signal(number)) == number);
  }
}

BOOST_AUTO_TEST_CASE(request_signals_that_cannot_work_are_refused) {
  BOOST_TEST(*parse_request_signal("SIGUSR1") == SIGUSR1);
  for (const char* text : {"SIGKILL", "SIGSTOP", "SIGCHLD", "SIGSEGV", "SIGCONT", "32"}) {
    BOOST_TEST(!parse_request_signal(text).ok(), text);
  }
}

BOOST_AUTO_TEST_SUITE_END()
