// Control areas that dead supervisors left behind, in runtime/job/stale_areas.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "runtime/job/stale_areas.h"
#include "runtime/proc/control_area.h"
#include "tests/unit/child.h"
#include "tests/unit/temporary_folder.h"

BOOST_AUTO_TEST_SUITE(job_stale_areas)

using ck::ControlArea;
using ck::test::TemporaryFolder;

namespace {

void leave_area(const std::string& folder) {
  const pid_t owner = fork();
  if (owner == 0) {
    const auto area = ControlArea::create(folder, "/agent", 1, 0);
    kill(getpid(), area.ok() ? SIGKILL : SIGABRT);
  }
  int status = 0;
  BOOST_REQUIRE(waitpid(owner, &status, 0) == owner);
  BOOST_REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

long count(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

}  // namespace

BOOST_AUTO_TEST_CASE(an_area_that_nobody_maps_is_removed) {
  TemporaryFolder folder;
  leave_area(folder.path());
  BOOST_TEST(count(folder.path()) == 1);
  ck::job::remove_stale_areas(folder.path());
  BOOST_TEST(count(folder.path()) == 0);
}

BOOST_AUTO_TEST_CASE(an_area_of_a_living_owner_stays) {
  TemporaryFolder folder;
  auto area = ControlArea::create(folder.path(), "/agent", 1, 0);
  BOOST_REQUIRE(area.ok());
  ck::job::remove_stale_areas(folder.path());
  BOOST_TEST(count(folder.path()) == 1);
}

// Its supervisor is dead, but programs that it starts will look for the file.
BOOST_AUTO_TEST_CASE(an_area_that_a_program_maps_stays) {
  TemporaryFolder folder;
  leave_area(folder.path());
  const std::string path = std::filesystem::directory_iterator(folder.path())->path();
  {
    const ck::test::Child program([&] {
      const int file = open(path.c_str(), O_RDWR);
      if (mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED) _exit(1);
      close(file);
    });
    ck::job::remove_stale_areas(folder.path());
    BOOST_TEST(count(folder.path()) == 1);
  }
  ck::job::remove_stale_areas(folder.path());
  BOOST_TEST(count(folder.path()) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
