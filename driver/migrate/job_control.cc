#include "driver/migrate/job_control.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "driver/migrate/ckpt_command.h"
#include "runtime/image/generations.h"
#include "runtime/job/find_job.h"
#include "runtime/job/held_mark.h"
#include "runtime/job/job_state.h"
#include "runtime/proc/control_area.h"
#include "runtime/proc/pidfd.h"

namespace ck::driver::migrate {
namespace {

// A checkpoint that was asked for tells nobody else when it is done.
constexpr std::chrono::milliseconds kLook{20};
constexpr std::chrono::seconds kPatience{120};
constexpr std::chrono::seconds kForAnswer{10};
constexpr std::chrono::seconds kDying{5};
constexpr std::chrono::milliseconds kEnding{10000};

void add(std::vector<std::string>& words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
}

// What was held dies with its supervisor, but not at once.
Result<bool> survives_supervisor(const job::JobDir& job, job::JobState state) {
  const auto give_up = std::chrono::steady_clock::now() + kDying;
  while (state.kind == job::JobState::Kind::kOrphaned) {
    const Result<bool> parked = ControlArea::await_orphans(state.incarnation->area);
    if (!parked.ok() || !*parked || std::chrono::steady_clock::now() > give_up) break;
    state = CK_TRY(job::job_state(job));
  }
  return state.kind == job::JobState::Kind::kOrphaned;
}

Status ask(const job::JobDir& job, const job::wire::Request& request,
           std::chrono::milliseconds patience = kForAnswer) {
  job::ControlClient client = CK_TRY(job::find_supervisor(job));
  CK_TRY(client.ask(request, patience));
  return {};
}

Status tell_newer(const job::JobDir& job, const std::string& image, bool last) {
  job::wire::Request request;
  request.mutable_newer_image()->set_path(image);
  request.mutable_newer_image()->set_last(last);
  return ask(job, request, kPatience);
}

}  // namespace

Result<Life> life_of(const job::JobDir& job) {
  Life life;
  const job::JobState state = CK_TRY(job::job_state(job));
  life.finished = state.finished.has_value();
  if (state.incarnation) life.counter = state.incarnation->counter;
  Result<job::ControlClient> client = job::find_supervisor(job);
  if (!client.ok()) {
    if (CK_TRY(survives_supervisor(job, state))) life.kind = Life::Kind::kRuns;
    return life;
  }
  const Result<job::wire::StatusReply> status = client->status();
  if (!status.ok()) {
    if (status.error().kind == ErrorKind::kTryAgain) return status.error();
    return life;  // it has just ended
  }
  life.kind = status->awaits_image()    ? Life::Kind::kInAdvance
              : status->held()          ? Life::Kind::kHeld
              : status->checkpointing() ? Life::Kind::kCheckpointing
                                        : Life::Kind::kRuns;
  return life;
}

Result<Life> settled_life_of(const job::JobDir& job) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const Life life = CK_TRY(life_of(job));
    if (life.kind != Life::Kind::kCheckpointing) return life;
    if (std::chrono::steady_clock::now() > deadline)
      return make_error(ErrorKind::kTryAgain,
                        "a checkpoint of job " + job.info().name + " does not end");
    std::this_thread::sleep_for(kLook);
  }
}

Status unhold(const job::JobDir& job, const std::string& jobs_folder,
              const job::UnholdOrder& order) {
  Result<job::ControlClient> client = job::find_supervisor(job);
  if (client.ok()) return job::unhold(*client, order);
  std::vector<std::string> words{"unhold", "--dir", jobs_folder};
  if (order.end) words.emplace_back("--end");
  if (order.counter) add(words, counter_option(*order.counter));
  if (!order.moved_to.empty()) add(words, {"--moved-to", order.moved_to});
  words.push_back(job.info().id);
  CK_TRY(run_ckpt(words));
  return {};
}

std::vector<std::string> counter_option(std::uint64_t counter) {
  return {"--counter", std::to_string(counter)};
}

Status restart(const job::JobDir& job, const std::string& jobs_folder, const std::string& image,
               const std::vector<std::string>& options) {
  std::vector<std::string> words{"--serve-terminal", "--keep-suspended", "--dir", jobs_folder};
  add(words, options);
  words.push_back(image);
  return start_ckpt("restart", words, job.file("restart.log"));
}

Status put_in_advance(const job::JobDir& job, const std::string& jobs_folder,
                      const std::string& image, const std::vector<std::string>& options) {
  const Life life = CK_TRY(life_of(job));
  if (life.kind == Life::Kind::kInAdvance) return tell_newer(job, image, false);
  if (life.kind != Life::Kind::kNone)
    return make_error(ErrorKind::kRefused, "job " + job.info().name + " runs here already");
  std::vector<std::string> words{"--hold", "--in-advance"};
  add(words, options);
  return restart(job, jobs_folder, image, words);
}

Result<bool> hold_in_advance(const job::JobDir& job, const std::string& image) {
  if (tell_newer(job, image, true).ok()) return true;
  CK_TRY(end_in_advance(job));
  return false;
}

// It may be at work, and answer nobody.
Status end_in_advance(const job::JobDir& job) {
  const std::optional<job::Incarnation> holder = CK_TRY(job::living_holder(job));
  if (!holder) return {};
  const Result<Life> life = life_of(job);
  if (life.ok() && life->kind != Life::Kind::kInAdvance) return {};
  const Result<proc::PidFd> process = proc::PidFd::open(holder->supervisor);
  if (!process.ok() || !CK_TRY(job::living_holder(job))) return {};
  (void)process->send_signal(SIGTERM);
  pollfd ended{process->get(), POLLIN, 0};
  if (::poll(&ended, 1, kEnding.count()) == 1) return {};
  return make_error(ErrorKind::kTryAgain, "process " + to_string(holder->supervisor) +
                                              ", which has memory of job " + job.info().name +
                                              " in advance, does not end");
}

Status suspend(const job::JobDir& job, std::chrono::milliseconds lease) {
  job::wire::Request request;
  request.mutable_suspend()->set_by_load(true);
  request.mutable_suspend()->set_lease_ms(static_cast<std::uint64_t>(lease.count()));
  return ask(job, request);
}

Status resume(const job::JobDir& job) {
  job::wire::Request request;
  request.mutable_resume()->set_by_load(true);
  return ask(job, request);
}

Status stop(const job::JobDir& job, const std::string& jobs_folder) {
  CK_TRY(run_ckpt({"save", "--stop", "--dir", jobs_folder, job.info().id}));
  return {};
}

Result<std::optional<job::JobDir>> find_job(const std::string& jobs_folder, const std::string& id) {
  Result<job::JobDir> job = job::JobDir::find(jobs_folder, id);
  if (job.ok()) return std::optional(*std::move(job));
  if (job.error().kind == ErrorKind::kNotFound) return std::optional<job::JobDir>();
  return std::move(job).error();
}

Status remove_image(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return sys_error("remove " + path);
}

Status remove_generation(const std::string& path) {
  CK_TRY(remove_image(path));
  return image::remove_unneeded_parents(path.substr(0, path.rfind('/')));
}

}  // namespace ck::driver::migrate
