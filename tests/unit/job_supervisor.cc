// The supervisor with a program that is only a child of ours, and an engine that writes a file.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <fstream>
#include <thread>

#include "runtime/image/generations.h"
#include "runtime/job/find_job.h"
#include "runtime/job/job_state.h"
#include "runtime/job/supervisor.h"
#include "runtime/proc/stat.h"
#include "tests/unit/temporary_folder.h"

using namespace ck::job;
using ck::ErrorKind;
using ck::RealPid;
using ck::UniqueFd;
using std::chrono::milliseconds;

namespace {

class ChildRoot : public ck::process::RootProcess {
 public:
  explicit ChildRoot(const std::function<int()>& program) {
    pid_ = fork();
    if (pid_ == 0) {
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      _exit(program());
    }
    exit_fd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  }
  RealPid pid() const override { return RealPid(pid_); }
  int exit_fd() const override { return exit_fd_.get(); }
  RealPid reaper() const override { return RealPid(getpid()); }
  ck::Result<int> take_exit_status() override {
    int status = 0;
    if (waitpid(pid_, &status, 0) != pid_) return ck::sys_error("wait");
    return status;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd exit_fd_;
};

struct Engine {
  milliseconds duration{0};
  bool fails = false;
};

// The engine's part: takes its time, leaves a file; --stop ends the program.
ck::Result<ck::capture::CheckpointReport> fake_checkpoint(
    const Engine& engine, RealPid root, const ck::capture::CheckpointOptions& options) {
  std::this_thread::sleep_for(engine.duration);
  if (engine.fails) return ck::make_error(ErrorKind::kRefused, "fd 7 cannot be saved");
  CK_TRY(options.before_rename());
  std::ofstream(options.image_path) << "image";
  ck::capture::CheckpointReport report;
  report.ended = options.stop;
  if (options.stop) kill(root.value, SIGKILL);
  return report;
}

// A supervisor in a process of its own, as in life.
class Job {
 public:
  explicit Job(std::function<int()> program, Engine engine = {}, Settings settings = {})
      : dir_(*JobDir::create(folder_.path(), info(settings))) {
    int ready[2];
    BOOST_REQUIRE(pipe(ready) == 0);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);  // a group whose parent is outside: job control can stop it
      _exit(supervise(program, engine, settings, ready[1]));
    }
    close(ready[1]);
    char root[sizeof(pid_t)];
    BOOST_REQUIRE(read(ready[0], root, sizeof root) == sizeof root);
    std::memcpy(&root_, root, sizeof root_);
    close(ready[0]);
  }
  ~Job() {
    if (pid_ > 0) {
      kill(root_, SIGKILL);
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  // Waits for the supervisor's end; its exit status.
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  ck::Result<ControlClient> connect() const { return find_supervisor(RealPid(pid_)); }
  std::size_t images() const { return ck::image::list_generations(dir_.path())->size(); }
  // Until there are so many, or two seconds.
  bool wait_for_images(std::size_t count) const {
    for (int attempt = 0; attempt < 200 && images() < count; ++attempt) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    return images() >= count;
  }
  const JobDir& dir() const { return dir_; }
  pid_t pid() const { return pid_; }
  pid_t root() const { return root_; }

 private:
  static JobInfo info(const Settings& settings) {
    JobInfo info;
    info.name = "watched";
    info.command = {"prog"};
    info.settings = settings;
    return info;
  }
  int supervise(const std::function<int()>& program, const Engine& engine, const Settings& settings,
                int ready) {
    if (!block_supervised_signals().ok()) return 250;
    auto ownership = Ownership::acquire(dir_);
    if (!ownership.ok()) return 251;
    auto listening =
        open_control_socket(socket_name(this_host()->pid_namespace, RealPid(getpid())));
    if (!listening.ok()) return 249;
    ChildRoot root([&] {
      listening->reset();
      return program();
    });
    pid_t pid = root.pid().value;
    if (!ownership->record_root(root.pid(), "").ok()) return 252;
    if (write(ready, &pid, sizeof pid) != sizeof pid) return 253;
    auto area = std::make_unique<ck::abi::AreaHeader>();
    auto checkpoint = [&](const ck::capture::CheckpointOptions& options) {
      return fake_checkpoint(engine, root.pid(), options);
    };
    JobHead head;
    Suspension suspension(dir_, ownership->incarnation(),
                          [&] { return ck::Result(std::vector{root.pid()}); });
    Supervisor supervisor({"test", dir_, *ownership, root, std::move(*listening), area.get(),
                           checkpoint, settings, head, suspension,
                           [](const auto&) { return RealPid(); }});
    auto status = supervisor.run();
    return status.ok() ? *status : 254;
  }

  ck::test::TemporaryFolder folder_;
  JobDir dir_;
  pid_t pid_ = 0;
  pid_t root_ = 0;
};

int sleep_long() {
  sleep(30);
  return 0;
}

wire::Request checkpoint_request(bool stop = false) {
  wire::Request request;
  request.mutable_checkpoint()->set_stop(stop);
  return request;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(job_supervisor)

BOOST_AUTO_TEST_CASE(exits_with_the_programs_status) {
  Job job([] {
    usleep(300'000);
    return 42;
  });
  BOOST_TEST(job.wait() == 42);
  BOOST_TEST((*job.dir().finished())->exit_status == 42);
  BOOST_TEST((*job.dir().incarnation())->ended);
}

BOOST_AUTO_TEST_CASE(a_signal_is_passed_on_and_its_death_reported) {
  Job job(sleep_long);
  kill(job.pid(), SIGTERM);
  BOOST_TEST(job.wait() == 128 + SIGTERM);
  BOOST_TEST((*job.dir().finished())->signal == SIGTERM);
}

BOOST_AUTO_TEST_CASE(a_queued_value_is_passed_on) {
  Job job([] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    siginfo_t info{};
    timespec patience{20, 0};
    sigtimedwait(&set, &info, &patience);
    return info.si_value.sival_int;
  });
  usleep(200'000);  // until the program has blocked it
  sigval value{};
  value.sival_int = 33;
  sigqueue(job.pid(), SIGRTMIN, value);
  BOOST_TEST(job.wait() == 33);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_by_socket) {
  Job job(sleep_long);
  auto status = job.connect()->status();
  BOOST_REQUIRE(status.ok());
  BOOST_TEST(status->name() == "watched");
  BOOST_TEST(status->root() == job.root());
  auto reply = job.connect()->ask(checkpoint_request(), std::chrono::seconds(5));
  BOOST_REQUIRE(reply.ok());
  BOOST_TEST(reply->done().generation() == 1u);
  BOOST_TEST(reply->done().image() == job.dir().file("gen-000001.ckpt"));
  BOOST_TEST(job.images() == 1u);
}

BOOST_AUTO_TEST_CASE(any_process_of_the_job_leads_to_its_supervisor) {
  int pipe_ends[2];
  BOOST_REQUIRE(pipe(pipe_ends) == 0);
  Job job([&] {
    pid_t grandchild = fork();
    if (grandchild == 0) sleep_long();
    (void)!write(pipe_ends[1], &grandchild, sizeof grandchild);
    return sleep_long();
  });
  pid_t grandchild = 0;
  BOOST_REQUIRE(read(pipe_ends[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  for (pid_t pid : {job.pid(), job.root(), grandchild}) {
    auto client = find_supervisor(RealPid(pid));
    BOOST_REQUIRE(client.ok());
    BOOST_TEST(client->supervisor().value == job.pid());
  }
  auto by_folder = find_supervisor(job.dir());
  BOOST_REQUIRE(by_folder.ok());
  BOOST_TEST(by_folder->supervisor().value == job.pid());
  BOOST_TEST((find_supervisor(RealPid(getpid())).error().kind == ErrorKind::kNotFound));
  kill(grandchild, SIGKILL);
}

BOOST_AUTO_TEST_CASE(stop_ends_the_job_without_a_finished_marker) {
  Job job(sleep_long);
  auto client = job.connect();
  auto reply = client->ask(checkpoint_request(true), std::chrono::seconds(5));
  BOOST_REQUIRE(reply.ok());
  BOOST_TEST(reply->done().stopped());
  BOOST_TEST(client->wait_for_end(std::chrono::seconds(5)));
  // Its lock is free by then.
  BOOST_TEST(Ownership::acquire(job.dir()).ok());
  BOOST_TEST(job.wait() == kDefaultStopExit);
  BOOST_TEST(!job.dir().finished()->has_value());
}

BOOST_AUTO_TEST_CASE(stop_with_a_status_of_its_own) {
  Job job(sleep_long);
  wire::Request request = checkpoint_request(true);
  request.mutable_checkpoint()->set_stop_exit(7);
  BOOST_TEST(job.connect()->ask(request, std::chrono::seconds(5)).ok());
  BOOST_TEST(job.wait() == 7);
}

BOOST_AUTO_TEST_CASE(a_failed_checkpoint_harms_nothing) {
  Job job(sleep_long, {.fails = true});
  for (bool stop : {false, true}) {
    auto reply = job.connect()->ask(checkpoint_request(stop), std::chrono::seconds(5));
    BOOST_REQUIRE(!reply.ok());
    BOOST_TEST(reply.error().message == "fd 7 cannot be saved");
    BOOST_TEST((reply.error().kind == ErrorKind::kRefused));
  }
  kill(job.pid(), SIGTERM);
  BOOST_TEST(job.wait() == 128 + SIGTERM);
  BOOST_TEST(job.dir().finished()->has_value());
}

BOOST_AUTO_TEST_CASE(a_second_request_waits_its_turn_or_gives_up) {
  Job job(sleep_long, {.duration = milliseconds(800)});
  std::thread first(
      [&] { BOOST_TEST(job.connect()->ask(checkpoint_request(), std::chrono::seconds(5)).ok()); });
  usleep(200'000);
  wire::Request impatient = checkpoint_request();
  impatient.mutable_checkpoint()->set_timeout_ms(100);
  auto refused = job.connect()->ask(impatient, std::chrono::seconds(5));
  BOOST_REQUIRE(!refused.ok());
  BOOST_TEST((refused.error().kind == ErrorKind::kTryAgain));
  auto patient = job.connect()->ask(checkpoint_request(), std::chrono::seconds(5));
  BOOST_REQUIRE(patient.ok());
  BOOST_TEST(patient->done().generation() == 2u);
  first.join();
}

BOOST_AUTO_TEST_CASE(the_request_signal_and_the_timer_ask_too) {
  Settings settings;
  Job by_signal(sleep_long, {}, settings);
  kill(by_signal.pid(), SIGUSR2);
  BOOST_TEST(by_signal.wait_for_images(1));
  settings.interval = milliseconds(50);
  Job by_timer(sleep_long, {}, settings);
  BOOST_TEST(by_timer.wait_for_images(3));
}

BOOST_AUTO_TEST_CASE(a_program_that_ends_during_a_checkpoint_has_finished) {
  int pipe_ends[2];
  BOOST_REQUIRE(pipe(pipe_ends) == 0);
  Job job(
      [&] {
        char byte;
        return read(pipe_ends[0], &byte, 1) == 1 ? 5 : 6;
      },
      {.duration = milliseconds(700), .fails = true});
  auto end_program = [&](const auto&) { BOOST_TEST(write(pipe_ends[1], "e", 1) == 1); };
  auto reply = job.connect()->ask(checkpoint_request(), std::chrono::seconds(5), end_program);
  BOOST_TEST(!reply.ok());
  BOOST_TEST(job.wait() == 5);
  BOOST_TEST((*job.dir().finished())->exit_status == 5);
}

wire::Request suspend_request(bool by_load, std::uint64_t lease_ms = 0) {
  wire::Request request;
  request.mutable_suspend()->set_by_load(by_load);
  request.mutable_suspend()->set_lease_ms(lease_ms);
  return request;
}

wire::Request resume_request(bool by_load) {
  wire::Request request;
  request.mutable_resume()->set_by_load(by_load);
  return request;
}

std::string suspended_by(const Job& job) {
  return job.connect()->status()->suspended_by();
}

char state_of(pid_t pid) {
  return ck::proc::read_stat(RealPid(pid))->state;
}

BOOST_AUTO_TEST_CASE(the_load_suspends_it_for_a_while) {
  Job job(sleep_long);
  auto reply = job.connect()->ask(suspend_request(true, 300), std::chrono::seconds(5));
  BOOST_REQUIRE(reply.ok());
  BOOST_TEST(reply->status().suspended_by() == "load");
  for (int attempt = 0; attempt < 500 && suspended_by(job) == "load"; ++attempt)
    std::this_thread::sleep_for(milliseconds(10));
  BOOST_TEST(suspended_by(job) == "");
  BOOST_TEST(state_of(job.root()) != 'T');
}

BOOST_AUTO_TEST_CASE(the_user_has_the_last_word) {
  Job job(sleep_long);
  const auto tell = [&](const wire::Request& request) {
    return job.connect()->ask(request, std::chrono::seconds(5)).ok();
  };
  BOOST_TEST(tell(suspend_request(true, 60'000)));
  BOOST_TEST(tell(suspend_request(false)));
  BOOST_TEST(tell(suspend_request(true, 1)));
  BOOST_TEST(tell(resume_request(true)));
  BOOST_TEST(suspended_by(job) == "user");
  BOOST_TEST(state_of(job.root()) == 'T');
  BOOST_TEST(tell(checkpoint_request()));
  BOOST_TEST((job_state(job.dir())->suspended_by == SuspendedBy::kUser));
  BOOST_TEST(tell(resume_request(false)));
  BOOST_TEST(state_of(job.root()) != 'T');
  BOOST_TEST(!tell(resume_request(false)));
  BOOST_TEST(tell(resume_request(true)));  // it runs already
  BOOST_TEST((job_state(job.dir())->suspended_by == SuspendedBy::kNobody));
}

// As a shell's: a process group of its own, stopped by job control.
BOOST_AUTO_TEST_CASE(stops_with_the_program_and_still_serves) {
  Job job(sleep_long);
  auto state_becomes = [&](char state) {
    for (int attempt = 0; attempt < 300; ++attempt) {
      if (ck::proc::read_stat(RealPid(job.pid()))->state == state) return true;
      std::this_thread::sleep_for(milliseconds(10));
    }
    return false;
  };
  kill(job.root(), SIGSTOP);
  BOOST_TEST(job.connect()->ask(checkpoint_request(), std::chrono::seconds(5)).ok());
  BOOST_TEST(ck::proc::read_stat(RealPid(job.pid()))->state != 'T');
  kill(job.root(), SIGCONT);

  kill(job.root(), SIGTTIN);
  BOOST_TEST(state_becomes('T'));
  BOOST_TEST(job.connect()->ask(checkpoint_request(), std::chrono::seconds(5)).ok());
  BOOST_TEST(ck::proc::read_stat(RealPid(job.root()))->state == 'T');
  BOOST_TEST(state_becomes('T'));
  kill(job.pid(), SIGCONT);
  kill(job.pid(), SIGTERM);
  BOOST_TEST(job.wait() == 128 + SIGTERM);
}

BOOST_AUTO_TEST_CASE(a_superseded_supervisor_takes_no_checkpoint) {
  Job job(sleep_long);
  Incarnation successor = *job.dir().incarnation().value();
  ++successor.counter;
  std::ofstream(job.dir().file("incarnation")) << to_json(successor);
  auto reply = job.connect()->ask(checkpoint_request(), std::chrono::seconds(5));
  BOOST_REQUIRE(!reply.ok());
  BOOST_TEST(reply.error().message.find("incarnation 2") != std::string::npos);
  BOOST_TEST(job.images() == 0u);
  kill(job.pid(), SIGTERM);
  BOOST_TEST(job.wait() == 128 + SIGTERM);
  BOOST_TEST(!job.dir().finished()->has_value());
}

BOOST_AUTO_TEST_SUITE_END()
