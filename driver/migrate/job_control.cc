#include "driver/migrate/job_control.h"

#include <unistd.h>

#include <chrono>
#include <thread>

#include "driver/migrate/ckpt_command.h"
#include "runtime/image/generations.h"
#include "runtime/job/find_job.h"
#include "runtime/job/job_state.h"
#include "runtime/proc/control_area.h"

namespace ck::driver::migrate {
namespace {

// A checkpoint that was asked for tells nobody else when it is done.
constexpr std::chrono::milliseconds kLook{20};
constexpr std::chrono::seconds kPatience{120};
constexpr std::chrono::seconds kForAnswer{10};
constexpr std::chrono::seconds kDying{5};

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

Status ask(const job::JobDir& job, const job::wire::Request& request) {
  job::ControlClient client = CK_TRY(job::find_supervisor(job));
  CK_TRY(client.ask(request, kForAnswer));
  return {};
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
  life.kind = status->held()            ? Life::Kind::kHeld
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
              const std::vector<std::string>& options) {
  std::vector<std::string> words{"unhold", "--dir", jobs_folder};
  add(words, options);
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
  Status parents = image::remove_unneeded_parents(path.substr(0, path.rfind('/')));
  return !parents.ok() && parents.error().errnum == ENOENT ? Status() : parents;
}

}  // namespace ck::driver::migrate
