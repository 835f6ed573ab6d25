#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <thread>

#include "runtime/job/find_job.h"
#include "runtime/job/job_state.h"
#include "runtime/job/ownership.h"
#include "runtime/job/process_life.h"
#include "runtime/job/remove_job.h"
#include "runtime/job/small_file.h"
#include "runtime/proc/stat.h"
#include "tests/unit/temporary_folder.h"

using namespace ck::job;
using ck::ErrorKind;
using ck::RealPid;

namespace {

struct Fixture {
  ck::test::TemporaryFolder folder;
  JobDir job = *JobDir::create(folder.path(), [] {
    JobInfo info;
    info.name = "fenced";
    info.command = {"prog"};
    return info;
  }());

  void write_owner(const Incarnation& owner) {
    BOOST_REQUIRE(replace_file(job.file("incarnation"), to_json(owner)).ok());
  }
  static Incarnation somewhere_else() {
    Incarnation owner;
    owner.counter = 7;
    owner.host = *this_host();
    owner.host.name = "far-away";
    owner.host.boot_id = "other";
    owner.supervisor = RealPid(1234);
    owner.supervisor_start = 99;
    return owner;
  }
};

// A process that owns the job until its standard input ends.
class OtherSupervisor {
 public:
  explicit OtherSupervisor(const JobDir& job) {
    int ready[2], hold[2];
    BOOST_REQUIRE(pipe(ready) == 0 && pipe(hold) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      close(hold[1]);
      auto ownership = Ownership::acquire(job);
      char state = ownership.ok() ? 'y' : 'n';
      if (write(ready[1], &state, 1) != 1) _exit(1);
      char ignored;
      (void)!read(hold[0], &ignored, 1);
      _exit(0);
    }
    close(ready[1]);
    close(hold[0]);
    hold_ = hold[1];
    char state = 0;
    BOOST_REQUIRE(read(ready[0], &state, 1) == 1);
    BOOST_REQUIRE(state == 'y');
    close(ready[0]);
  }
  ~OtherSupervisor() { die(); }
  void die() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(hold_);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  int hold_ = -1;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(job_ownership, Fixture)

BOOST_AUTO_TEST_CASE(incarnations_are_counted) {
  for (std::uint64_t counter : {1u, 2u, 3u}) {
    auto ownership = Ownership::acquire(job);
    BOOST_REQUIRE(ownership.ok());
    BOOST_TEST(ownership->counter() == counter);
    BOOST_TEST(ownership->check_still_mine().ok());
    BOOST_TEST(ownership->end().ok());
  }
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kStopped));
}

BOOST_AUTO_TEST_CASE(a_running_job_is_not_taken_over) {
  OtherSupervisor other(job);
  for (bool force : {false, true}) {
    auto ownership = Ownership::acquire(job, {.force = force, .counter = {}});
    BOOST_REQUIRE(!ownership.ok());
    BOOST_TEST((ownership.error().kind == ErrorKind::kTryAgain));
    BOOST_TEST(contains(ownership.error().message, std::to_string(other.pid())));
    BOOST_TEST(!remove_job(job, force).ok());
  }
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kRunning));
}

BOOST_AUTO_TEST_CASE(a_dead_supervisors_job_is_taken_over) {
  OtherSupervisor other(job);
  other.die();
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kDead));
  auto ownership = Ownership::acquire(job);
  BOOST_REQUIRE(ownership.ok());
  BOOST_TEST(ownership->counter() == 2u);
}

BOOST_AUTO_TEST_CASE(a_program_that_outlived_its_supervisor_is_not_doubled) {
  Incarnation owner = somewhere_else();
  owner.host = *this_host();
  owner.root = RealPid(getpid());
  owner.root_start = ck::proc::read_stat(RealPid(getpid()))->start_time;
  write_owner(owner);
  for (bool force : {false, true}) {
    auto ownership = Ownership::acquire(job, {.force = force, .counter = {}});
    BOOST_REQUIRE(!ownership.ok());
    BOOST_TEST(contains(ownership.error().message, "still runs as process"));
  }
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kOrphaned));
  // The same pid with another start time is another process.
  ++owner.root_start;
  write_owner(owner);
  BOOST_TEST(Ownership::acquire(job).ok());
}

BOOST_AUTO_TEST_CASE(another_hosts_job_needs_force) {
  write_owner(somewhere_else());
  auto refused = Ownership::acquire(job);
  BOOST_REQUIRE(!refused.ok());
  BOOST_TEST(contains(refused.error().message, "far-away"));
  BOOST_TEST(contains(refused.error().hint, "--force"));
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kElsewhere));
  BOOST_TEST(!find_supervisor(job).ok());
  auto forced = Ownership::acquire(job, {.force = true, .counter = {}});
  BOOST_REQUIRE(forced.ok());
  BOOST_TEST(forced->counter() == 8u);
}

BOOST_AUTO_TEST_CASE(a_hand_over_decides_about_another_hosts_job) {
  write_owner(somewhere_else());
  for (std::uint64_t counter : {6u, 7u}) {
    auto refused = Ownership::acquire(job, {.force = false, .counter = counter});
    BOOST_REQUIRE(!refused.ok());
    BOOST_TEST(
        (refused.error().kind == (counter == 6 ? ErrorKind::kRefused : ErrorKind::kTryAgain)));
  }
  auto owner = Ownership::acquire(job, {.force = false, .counter = 9});
  BOOST_REQUIRE(owner.ok());
  BOOST_TEST(owner->counter() == 9u);
}

BOOST_AUTO_TEST_CASE(a_counter_is_one_more_at_least) {
  std::uint64_t wanted[][2] = {{1, 1}, {1, 2}, {5, 5}};
  for (auto [claimed, given] : wanted) {
    auto owner = Ownership::acquire(job, {.force = false, .counter = claimed});
    BOOST_REQUIRE(owner.ok());
    BOOST_TEST(owner->counter() == given);
    BOOST_TEST(owner->end().ok());
  }
  auto low = Ownership::acquire(job, {.force = false, .counter = 4});
  BOOST_REQUIRE(!low.ok());
  BOOST_TEST(contains(low.error().message, "incarnation 5"));
}

BOOST_AUTO_TEST_CASE(a_counter_is_raised) {
  auto owner = Ownership::acquire(job, {.force = false, .counter = 3});
  BOOST_REQUIRE(owner.ok());
  BOOST_TEST(owner->raise(5).ok());
  BOOST_TEST(owner->raise(5).ok());
  BOOST_TEST(!owner->raise(4).ok());
  BOOST_TEST(owner->counter() == 5u);
  BOOST_TEST(owner->check_still_mine().ok());
  BOOST_TEST((*job.incarnation())->counter == 5u);
}

BOOST_AUTO_TEST_CASE(a_job_that_has_moved_is_not_doubled) {
  BOOST_TEST(Ownership::acquire(job)->end_moved(move_to("far-away", 4)).ok());
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kElsewhere));
  auto refused = Ownership::acquire(job);
  BOOST_REQUIRE(!refused.ok());
  BOOST_TEST(contains(refused.error().message, "has moved to host far-away"));
  BOOST_TEST(!Ownership::acquire(job, {.force = false, .counter = 4}).ok());
  BOOST_TEST(!remove_job(job, false).ok());
  BOOST_TEST(Ownership::acquire(job, {.force = true, .counter = {}})->counter() == 5u);
}

BOOST_AUTO_TEST_CASE(where_a_job_has_moved_to_its_life_is_that_of_the_move) {
  write_owner(move_to(this_host()->name, 4));
  BOOST_TEST(!Ownership::acquire(job).ok());
  BOOST_TEST(!Ownership::acquire(job, {.force = false, .counter = 3}).ok());
  BOOST_TEST(Ownership::acquire(job, {.force = false, .counter = 4})->counter() == 4u);
}

BOOST_AUTO_TEST_CASE(a_move_does_not_replace_a_newer_life) {
  auto stale = Ownership::acquire(job);
  write_owner(somewhere_else());
  BOOST_TEST(stale->end_moved(move_to("far-away", 7)).ok());
  BOOST_TEST((*job.incarnation())->supervisor.value == 1234);
}

BOOST_AUTO_TEST_CASE(after_a_reboot_the_owner_is_gone) {
  Host here = *this_host();
  if (here.machine_id.empty()) here.machine_id = "m";
  Incarnation owner = somewhere_else();
  owner.host = here;
  owner.host.boot_id = "an earlier boot";
  BOOST_TEST((owner_state(owner, here) == OwnerState::kGone));
  owner.host.machine_id = "";
  BOOST_TEST((owner_state(owner, here) == OwnerState::kUnknown));
}

BOOST_AUTO_TEST_CASE(a_stale_copy_changes_nothing) {
  auto stale = Ownership::acquire(job);
  BOOST_REQUIRE(stale.ok());
  // The successor, on another host, which this host's lock did not stop.
  Incarnation successor = somewhere_else();
  write_owner(successor);
  std::string before = *read_small_file(job.file("incarnation"));

  ck::Status mine = stale->check_still_mine();
  BOOST_REQUIRE(!mine.ok());
  BOOST_TEST(contains(mine.error().message, "incarnation 7"));
  BOOST_TEST(!stale->write_finished(0).ok());
  BOOST_TEST(!job.finished()->has_value());
  BOOST_TEST(!stale->record_root(RealPid(getpid()), "").ok());
  BOOST_TEST(!stale->forget_finished().ok());
  BOOST_TEST(!stale->end().ok());
  BOOST_TEST(*read_small_file(job.file("incarnation")) == before);
}

BOOST_AUTO_TEST_CASE(a_removed_job_is_no_longer_owned) {
  auto ownership = Ownership::acquire(job);
  BOOST_REQUIRE(ownership.ok());
  BOOST_REQUIRE(remove_job_folder(job).ok());
  BOOST_TEST(!ownership->check_still_mine().ok());
  BOOST_TEST(!ownership->write_finished(0).ok());
}

BOOST_AUTO_TEST_CASE(the_finished_marker_keeps_the_status) {
  auto ownership = Ownership::acquire(job);
  BOOST_REQUIRE(ownership.ok());
  BOOST_TEST(!job.finished()->has_value());
  BOOST_REQUIRE(ownership->write_finished(3 << 8).ok());
  BOOST_TEST((*job.finished())->exit_status == 3);
  BOOST_REQUIRE(ownership->write_finished(SIGTERM).ok());
  BOOST_TEST((*job.finished())->exit_status == 128 + SIGTERM);
  BOOST_TEST((*job.finished())->signal == SIGTERM);
  BOOST_TEST((job_state(job)->kind == JobState::Kind::kFinished));
  auto supervisor = find_supervisor(job);
  BOOST_REQUIRE(!supervisor.ok());
  BOOST_TEST(contains(supervisor.error().message, "has finished"));
  BOOST_REQUIRE(ownership->forget_finished().ok());
  BOOST_TEST(!job.finished()->has_value());
}

BOOST_AUTO_TEST_CASE(a_folder_that_others_can_write_is_not_trusted) {
  std::filesystem::permissions(job.path(), std::filesystem::perms::group_write,
                               std::filesystem::perm_options::add);
  auto ownership = Ownership::acquire(job);
  BOOST_REQUIRE(!ownership.ok());
  BOOST_TEST((ownership.error().kind == ErrorKind::kPermission));
}

// Its memory is freed after SIGKILL has been sent, and before it is a zombie.
BOOST_AUTO_TEST_CASE(a_killed_program_that_is_still_being_taken_down_is_waited_for) {
  constexpr std::size_t kMuch = 256u << 20;
  int ready[2];
  BOOST_REQUIRE(pipe(ready) == 0);
  pid_t program = fork();
  if (program == 0) {
    void* memory = mmap(nullptr, kMuch, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    (void)!write(ready[1], "r", 1);
    while (memory != nullptr) pause();
  }
  char byte = 0;
  BOOST_REQUIRE(read(ready[0], &byte, 1) == 1);
  {
    OtherSupervisor other(job);
    Incarnation owner = *job.incarnation().value();
    owner.root = RealPid(program);
    owner.root_start = ck::proc::read_stat(owner.root)->start_time;
    write_owner(owner);
  }
  BOOST_TEST(!Ownership::acquire(job).ok());
  kill(program, SIGKILL);
  auto ownership = Ownership::acquire(job);
  BOOST_TEST(ownership.ok());
  siginfo_t info{};
  BOOST_TEST(waitid(P_PID, static_cast<id_t>(program), &info, WEXITED | WNOHANG) == 0);
  BOOST_TEST(info.si_pid == program);  // it had ended, and was a zombie
}

BOOST_AUTO_TEST_CASE(a_process_whose_first_thread_has_exited_is_alive) {
  pid_t program = fork();
  if (program == 0) {
    std::thread([] { sleep(30); }).detach();
    syscall(SYS_exit, 0);
  }
  RealPid pid(program);
  for (int attempt = 0; attempt < 200 && ck::proc::read_stat(pid)->state != 'Z'; ++attempt) {
    usleep(10'000);
  }
  std::uint64_t start = ck::proc::read_stat(pid)->start_time;
  BOOST_TEST((process_life(pid, start) == Life::kRuns));
  BOOST_TEST((process_life(pid, start + 1) == Life::kGone));
  kill(program, SIGKILL);
  await_end(pid, start, std::chrono::seconds(5));
  BOOST_TEST((process_life(pid, start) == Life::kGone));
  waitpid(program, nullptr, 0);
}

BOOST_AUTO_TEST_SUITE_END()
