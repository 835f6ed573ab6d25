#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <regex>

#include "runtime/job/job_dir.h"
#include "runtime/job/remove_job.h"
#include "runtime/job/small_file.h"
#include "tests/unit/temporary_folder.h"

using namespace ck::job;
using ck::ErrorKind;
using ck::test::TemporaryFolder;

namespace {

JobInfo some_job(const std::string& name) {
  JobInfo info;
  info.name = name;
  info.command = {"/bin/prog", "--x", "caf\xe9 \"\\\n", ""};
  info.settings.interval = std::chrono::minutes(10);
  info.settings.keep = 3;
  info.settings.request_signal = SIGUSR1;
  info.settings.compression = {ck::image::Codec::kZstd, 7};
  info.settings.stop_exit = 99;
  return info;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(job_folder)

BOOST_AUTO_TEST_CASE(what_is_written_is_read_again) {
  TemporaryFolder folder;
  JobDir made = *JobDir::create(folder.path() + "/jobs", some_job("fit"));
  auto found = JobDir::find(folder.path() + "/jobs", made.info().id);
  BOOST_REQUIRE(found.ok());
  BOOST_TEST(found->path() == made.path());
  const JobInfo& info = found->info();
  BOOST_TEST(info.name == "fit");
  BOOST_TEST(info.command == some_job("").command);
  BOOST_TEST(info.settings.interval.count() == 600'000);
  BOOST_TEST(info.settings.keep == 3u);
  BOOST_TEST(info.settings.request_signal == SIGUSR1);
  BOOST_TEST(info.settings.compression.level == 7);
  BOOST_TEST(info.settings.stop_exit == 99);
  BOOST_TEST(JobDir::find(folder.path() + "/jobs", "fit").ok());
}

BOOST_AUTO_TEST_CASE(nobody_else_can_read_it) {
  TemporaryFolder folder;
  JobDir job = *JobDir::create(folder.path(), some_job("private"));
  struct stat info;
  BOOST_REQUIRE(stat(job.path().c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0700u);
  BOOST_REQUIRE(stat(job.file("job.json").c_str(), &info) == 0);
  BOOST_TEST((info.st_mode & 0777) == 0600u);
}

BOOST_AUTO_TEST_CASE(a_name_is_taken_once) {
  TemporaryFolder folder;
  BOOST_TEST(JobDir::create(folder.path(), some_job("one")).ok());
  auto again = JobDir::create(folder.path(), some_job("one"));
  BOOST_REQUIRE(!again.ok());
  BOOST_TEST((again.error().kind == ErrorKind::kRefused));
}

BOOST_AUTO_TEST_CASE(no_such_job) {
  TemporaryFolder folder;
  for (const char* name : {"none", "", "..", ".", "a/b"}) {
    auto found = JobDir::find(folder.path(), name);
    BOOST_REQUIRE(!found.ok());
    BOOST_TEST((found.error().kind == ErrorKind::kNotFound));
  }
  BOOST_TEST(list_jobs(folder.file("absent"))->empty());
}

BOOST_AUTO_TEST_CASE(damaged_job_files_are_errors) {
  TemporaryFolder folder;
  JobDir job = *JobDir::create(folder.path(), some_job("bad"));
  std::string good = *read_small_file(job.file("job.json"));
  for (std::string text : {std::string(), std::string("{}"), std::string("[1]"), std::string("nul"),
                           good.substr(0, good.size() / 2), std::string(100'000, '['),
                           std::regex_replace(good, std::regex("zstd"), "zst")}) {
    folder.write("bad/job.json", text);
    auto found = JobDir::find(folder.path(), "bad");
    BOOST_REQUIRE(!found.ok());
    BOOST_TEST((found.error().kind == ErrorKind::kBadImage));
  }
  for (std::string text : {"{\"exit_status\":3}", "x", "{\"exit_status\":\"3\"}"}) {
    BOOST_TEST(!parse_finished(text).ok(), text);
    BOOST_TEST(!parse_incarnation(text).ok(), text);
  }
}

BOOST_AUTO_TEST_CASE(a_newer_version_is_named) {
  auto info = parse_job_info("{\"format\": 2}");
  BOOST_REQUIRE(!info.ok());
  BOOST_TEST(info.error().message.find("newer") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_file_is_replaced_as_a_whole_or_not_at_all) {
  TemporaryFolder folder;
  std::string path = folder.file("state");
  BOOST_TEST(replace_file(path, "one").ok());
  auto refuse = [] { return ck::Status(ck::make_error(ErrorKind::kRefused, "no")); };
  BOOST_TEST(!replace_file(path, "two", refuse).ok());
  BOOST_TEST(*read_small_file(path) == "one");
  auto entries = std::distance(std::filesystem::directory_iterator(folder.path()), {});
  BOOST_TEST(entries == 1);
}

BOOST_AUTO_TEST_CASE(removal) {
  TemporaryFolder folder;
  JobDir job = *JobDir::create(folder.path(), some_job("gone"));
  folder.write("gone/gen-000001.ckpt", "x");
  BOOST_TEST(remove_job(job, false).ok());
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
}

BOOST_AUTO_TEST_SUITE_END()
