#include <boost/test/unit_test.hpp>

#include "tools/cli.h"
#include "tools/print.h"
#include "tools/progress_bar.h"
#include "tools/top_view.h"

using namespace ck::tools;
using std::chrono::milliseconds;

namespace {

std::size_t first(const std::vector<std::string>& args, bool* dashes = nullptr) {
  CLI::App app;
  std::string name;
  bool flag = false;
  app.add_option("-n,--name", name);
  app.add_flag("-f,--flag", flag);
  FirstWord word = first_word({&app}, args);
  if (dashes != nullptr) *dashes = word.after_dashes;
  return word.index;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tools_text)

BOOST_AUTO_TEST_CASE(the_program_is_the_first_word_that_is_no_option) {
  BOOST_TEST(first({"prog", "--name", "x"}) == 0u);
  BOOST_TEST(first({"--name", "x", "prog"}) == 2u);
  BOOST_TEST(first({"--name=x", "prog"}) == 1u);
  BOOST_TEST(first({"-n", "x", "-f", "prog", "-n"}) == 3u);
  BOOST_TEST(first({"-nx", "prog"}) == 1u);
  BOOST_TEST(first({"--flag", "prog"}) == 1u);
  BOOST_TEST(first({"--help"}) == 1u);
  BOOST_TEST(first({"--name"}) == 1u);
  BOOST_TEST(first({}) == 0u);
}

BOOST_AUTO_TEST_CASE(two_dashes_end_the_options) {
  bool dashes = false;
  BOOST_TEST(first({"--", "--name"}, &dashes) == 1u);
  BOOST_TEST(dashes);
  BOOST_TEST(first({"-f", "--", "-x", "--"}, &dashes) == 2u);
  BOOST_TEST(first({"prog", "--"}, &dashes) == 0u);
  BOOST_TEST(!dashes);
}

BOOST_AUTO_TEST_CASE(numbers_for_people) {
  BOOST_TEST(format_bytes(0) == "0 B");
  BOOST_TEST(format_bytes(1023) == "1023 B");
  BOOST_TEST(format_bytes(1536) == "1.50 KiB");
  BOOST_TEST(format_bytes(std::uint64_t{300} << 30) == "300 GiB");
  BOOST_TEST(format_nanoseconds(12'300'000) == "12.3 ms");
  BOOST_TEST(format_nanoseconds(2'000'000'000) == "2.00 s");
  BOOST_TEST(printable("a\x1b[2J\nb") == "a?[2J?b");
}

BOOST_AUTO_TEST_CASE(bytes_that_are_no_text) {
  for (const char* whole :
       {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    BOOST_TEST(valid_utf8(whole) == whole);
  const std::string bad = "\xef\xbf\xbd";
  BOOST_TEST(valid_utf8("a\xff"
                        "b") == "a" + bad + "b");
  BOOST_TEST(valid_utf8("caf\xe9") == "caf" + bad);           // Latin-1
  BOOST_TEST(valid_utf8("\xe2\x82\"") == bad + bad + "\"");   // cut off
  BOOST_TEST(valid_utf8("\xc0\xaf") == bad + bad);            // longer than needed
  BOOST_TEST(valid_utf8("\xed\xa0\x80") == bad + bad + bad);  // a surrogate
  BOOST_TEST(valid_utf8("\xf4\x90\x80\x80") == bad + bad + bad + bad);
}

BOOST_AUTO_TEST_CASE(progress) {
  std::string line = progress_line("write", 512 << 20, 1024 << 20, milliseconds(2000), 100);
  BOOST_TEST(line.find("50% of 1.00 GiB") != std::string::npos);
  BOOST_TEST(line.find("256 MiB/s") != std::string::npos);
  BOOST_TEST(line.find("0:02 left") != std::string::npos);
  BOOST_TEST(progress_line("freeze", 0, 0, milliseconds(0), 100) == "freeze");
  BOOST_TEST(progress_line("w", 5, 3, milliseconds(1), 200).find("100%") != std::string::npos);
  BOOST_TEST(progress_line("write", 1, 2, milliseconds(1), 10).size() == 9u);
  BOOST_TEST(progress_line("write", 1, 2, milliseconds(1), 0).empty());
}

BOOST_AUTO_TEST_CASE(a_view_fits_its_screen) {
  TopView view;
  view.time = "now";
  view.hosts = {{"HOST", "STATE"}, {"a", "up"}, {"b", "drained"}};
  view.jobs = {{"HOST", "NAME"}};
  for (int i = 0; i < 50; ++i) view.jobs.push_back({"a", "job-" + std::to_string(i)});
  auto lines = top_lines(view, 80, 24);
  BOOST_TEST(lines.size() == 24u);
  BOOST_TEST(lines[0] == "ckpt top  now  2 hosts, 50 jobs of yours");
  BOOST_TEST(lines[3] == "b     drained");
  BOOST_TEST(lines[4] == "");
  BOOST_TEST(lines[22] == "... 34 more");
  BOOST_TEST(lines[23] == "q: quit");
  for (unsigned rows = 0; rows < 60; ++rows) {
    for (unsigned columns : {1u, 7u, 200u}) {
      lines = top_lines(view, columns, rows);
      BOOST_TEST(lines.size() <= rows);
      for (const std::string& line : lines) BOOST_TEST(line.size() <= columns);
    }
  }
  BOOST_TEST(top_lines(view, 80, 100).size() == 57u);
  view.trouble = "ckd does not answer";
  BOOST_TEST(top_lines(view, 80, 24).back() == view.trouble);
  view.time = "\xc3\xa4\xc3\xa4";  // two characters
  BOOST_TEST(top_lines(view, 11, 24)[0] == "ckpt top  \xc3\xa4");
}

BOOST_AUTO_TEST_SUITE_END()
