#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <set>

#include "runtime/job/names.h"
#include "tests/unit/temporary_folder.h"

using namespace ck::job;

namespace {

// An environment variable for the length of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    const char* before = getenv(name);
    if (before != nullptr) before_ = before;
    had_ = before != nullptr;
    value == nullptr ? unsetenv(name) : setenv(name, value, 1);
  }
  ~Variable() { had_ ? setenv(name_, before_.c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::string before_;
  bool had_ = false;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(job_names)

BOOST_AUTO_TEST_CASE(good_names) {
  for (const char* name : {"a", "fit-1", "my job", "1a", "grüße", "a.b_c+d", "x:y"}) {
    BOOST_TEST(check_name(name).ok(), name);
  }
  BOOST_TEST(check_name(std::string(64, 'x')).ok());
}

BOOST_AUTO_TEST_CASE(bad_names) {
  for (std::string name :
       {"", "a/b", "/", ".", "..", ".hidden", "-x", "a\nb", "a\x7f", "\x1b[2J", "4711"}) {
    BOOST_TEST(!check_name(name).ok(), name);
  }
  BOOST_TEST(!check_name(std::string(65, 'x')).ok());
  BOOST_TEST(!check_name(std::string("a\0b", 3)).ok());
}

BOOST_AUTO_TEST_CASE(a_message_about_a_name_holds_no_control_characters) {
  std::string message = check_name("a\x1b[2J").error().message;
  BOOST_TEST(message.find('\x1b') == std::string::npos);
}

BOOST_AUTO_TEST_CASE(ids) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    std::string id = *make_id();
    BOOST_TEST(id.size() == 8u);
    BOOST_TEST((id[0] >= 'a' && id[0] <= 'z'));
    BOOST_TEST(check_name(id).ok());
    seen.insert(id);
  }
  BOOST_TEST(seen.size() == 200u);
}

BOOST_AUTO_TEST_CASE(default_names_are_valid) {
  BOOST_TEST(default_name("/usr/bin/python3", "abc") == "python3-abc");
  BOOST_TEST(default_name("./.hidden", "abc") == "hidden-abc");
  BOOST_TEST(default_name("dir/", "abc") == "job-abc");
  for (std::string program : {std::string("x/\n\t"), std::string("--"), std::string(300, 'y')}) {
    BOOST_TEST(check_name(default_name(program, "abcdefgh")).ok(), program);
  }
}

BOOST_AUTO_TEST_CASE(folder_of_jobs_by_precedence) {
  Variable home("HOME", "/home/someone");
  Variable state("XDG_STATE_HOME", nullptr);
  Variable own("CKRUN_DIR", nullptr);
  BOOST_TEST(*jobs_folder("") == "/home/someone/.local/state/ckrun");
  Variable state_set("XDG_STATE_HOME", "/state");
  BOOST_TEST(*jobs_folder("") == "/state/ckrun");
  Variable own_set("CKRUN_DIR", "/jobs/");
  BOOST_TEST(*jobs_folder("") == "/jobs");
  BOOST_TEST(*jobs_folder("/x/./y/../z") == "/x/z");
  Variable state_relative("XDG_STATE_HOME", "relative");
  Variable own_unset("CKRUN_DIR", nullptr);
  BOOST_TEST(*jobs_folder("") == "/home/someone/.local/state/ckrun");
}

BOOST_AUTO_TEST_CASE(folders_are_private) {
  ck::test::TemporaryFolder folder;
  std::string path = folder.file("a/b/c");
  BOOST_TEST(make_folders(path).ok());
  BOOST_TEST(make_folders(path).ok());
  struct stat info;
  BOOST_REQUIRE(stat(folder.file("a").c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0700u);
  std::string file = folder.write("file", "x");
  BOOST_TEST(!make_folders(file).ok());
  BOOST_TEST(!make_folders(file + "/below").ok());
}

BOOST_AUTO_TEST_SUITE_END()
