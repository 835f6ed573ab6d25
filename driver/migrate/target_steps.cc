// The host that a job comes to.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "driver/migrate/job_control.h"
#include "driver/migrate/job_files.h"
#include "driver/migrate/kept_needs.h"
#include "driver/migrate/pre_check.h"
#include "driver/migrate/steps.h"
#include "driver/transfer/send_image.h"
#include "runtime/image/generations.h"
#include "runtime/image/reader.h"
#include "runtime/job/image_target.h"
#include "runtime/job/names.h"
#include "runtime/job/remove_job.h"

namespace ck::driver::migrate {
namespace {

using handover::Step;

constexpr std::size_t kIdInName = 8;
constexpr char kIncoming[] = "/.incoming";

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

Status remove_early(const StepPlan& plan) {
  for (const std::string& parent : CK_TRY(image::list_parents(folder_of(plan.image)))) {
    CK_TRY(remove_image(parent));
    CK_TRY(remove_image(parent + ".part"));
  }
  return {};
}

// The image and all that came with it is elsewhere, or of no use any more.
Status remove_incoming(const StepPlan& plan) {
  CK_TRY(remove_image(plan.image));
  CK_TRY(remove_early(plan));
  (void)::rmdir(folder_of(plan.image).c_str());
  return {};
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat one {
  }, other{};
  return ::stat(a.c_str(), &one) == 0 && ::stat(b.c_str(), &other) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Another job may have that name here.
Result<job::JobDir> make_job(const StepPlan& plan, const image::Reader& reader) {
  job::JobInfo info = job::job_info_of(reader.manifest());
  CK_TRY(job::check_name(info.name));
  CK_TRY(job::check_name(info.id));
  struct stat there {};
  if (::stat((plan.jobs_folder + "/" + info.name).c_str(), &there) == 0)
    info.name += "-" + info.id.substr(0, kIdInName);
  return job::JobDir::create(plan.jobs_folder, std::move(info));
}

Result<job::JobDir> job_of_image(const StepPlan& plan, const image::Reader& reader) {
  if (reader.manifest().job().id() != plan.terms.job)
    return make_error(ErrorKind::kRefused, "the image is of another job than the one offered");
  std::optional<job::JobDir> job = CK_TRY(find_job(plan.jobs_folder, plan.terms.job));
  if (job) return *std::move(job);
  return make_job(plan, reader);
}

// The image among the job's own ones.
Result<std::string> image_in(const job::JobDir& job, const image::Reader& reader) {
  for (const image::Generation& generation : CK_TRY(image::list_generations(job.path())))
    if (same_file(generation.path, reader.path())) return generation.path;
  const std::uint64_t next = CK_TRY(image::next_generation(job.path()));
  const std::uint64_t own = std::max(reader.manifest().job().generation(), next);
  const std::string path = job.path() + "/" + image::generation_name(own);
  CK_TRY(image::link_parents(reader, job.path()));
  if (::link(reader.path().c_str(), path.c_str()) != 0) return sys_error("link " + path);
  return path;
}

// An early image has come, and another one will. What is done in advance is never necessary.
Status use_early(const StepPlan& plan, const std::string& image) {
  const std::unique_ptr<image::Reader> reader = CK_TRY(image::Reader::open_records(image, true));
  const job::JobDir job = CK_TRY(job_of_image(plan, *reader));
  Status there = put_in_advance(job, plan.jobs_folder, image, CK_TRY(map_options(plan)));
  if (!there.ok()) CK_TRY(end_in_advance(job));
  return there;
}

Status restore_held(const StepPlan& plan) {
  const std::unique_ptr<image::Reader> reader =
      CK_TRY(image::Reader::open_records(plan.image, true));
  const job::JobDir job = CK_TRY(job_of_image(plan, *reader));
  const Life life = CK_TRY(life_of(job));
  if (life.kind == Life::Kind::kHeld) return {};
  if (life.kind != Life::Kind::kNone && life.kind != Life::Kind::kInAdvance)
    return make_error(ErrorKind::kRefused, "job " + job.info().name + " runs here already");
  CK_TRY(files::install(CK_TRY(place_of(plan))));
  const std::string image = CK_TRY(image_in(job, *reader));
  if (life.kind == Life::Kind::kInAdvance && CK_TRY(hold_in_advance(job, image))) return {};
  std::vector<std::string> options = CK_TRY(map_options(plan));
  options.emplace_back("--hold");
  return restart(job, plan.jobs_folder, image, options);
}

Status release(const StepPlan& plan, std::uint64_t counter) {
  std::optional<job::JobDir> job = CK_TRY(find_job(plan.jobs_folder, plan.terms.job));
  std::unique_ptr<image::Reader> reader;
  if (!job) {
    reader = CK_TRY(image::Reader::open_records(plan.image, true));
    job = CK_TRY(job_of_image(plan, *reader));
  }
  CK_TRY(end_in_advance(*job));
  const Life life = CK_TRY(settled_life_of(*job));
  CK_TRY(files::settle(CK_TRY(place_of(plan))));
  if (life.kind == Life::Kind::kHeld) {
    CK_TRY(unhold(*job, plan.jobs_folder, {.counter = counter}));
  } else if (life.kind == Life::Kind::kNone && life.counter < counter) {
    if (!reader) reader = CK_TRY(image::Reader::open_records(plan.image, true));
    const std::string image = CK_TRY(image_in(*job, *reader));
    std::vector<std::string> options = CK_TRY(map_options(plan));
    const std::vector<std::string> as = counter_option(counter);
    options.insert(options.end(), as.begin(), as.end());
    CK_TRY(restart(*job, plan.jobs_folder, image, options));
  }
  CK_TRY(forget_placed_files(plan));
  CK_TRY(forget_needs(plan));
  return remove_incoming(plan);  // it has its name in the job's folder
}

// What runs under a counter of this hand-over is the copy that is not to be.
Status discard(const StepPlan& plan) {
  const std::optional<job::JobDir> job = CK_TRY(find_job(plan.jobs_folder, plan.terms.job));
  if (!job) return {};
  CK_TRY(end_in_advance(*job));
  const Life life = CK_TRY(settled_life_of(*job));
  if (life.kind == Life::Kind::kHeld) return unhold(*job, plan.jobs_folder, {.end = true});
  const bool ours = life.counter == handover::taken_counter(plan.terms) ||
                    life.counter == handover::forced_counter(plan.terms);
  if (life.kind != Life::Kind::kRuns || !ours) return {};
  return stop(*job, plan.jobs_folder);
}

Status drop_image(const StepPlan& plan) {
  CK_TRY(files::take_back(CK_TRY(place_of(plan))));
  CK_TRY(forget_placed_files(plan));
  CK_TRY(forget_needs(plan));
  const std::optional<job::JobDir> job = CK_TRY(find_job(plan.jobs_folder, plan.terms.job));
  if (job) {
    CK_TRY(end_in_advance(*job));
    for (const image::Generation& generation : CK_TRY(image::list_generations(job->path())))
      if (same_file(generation.path, plan.image)) CK_TRY(remove_generation(generation.path));
    const bool has_lived = CK_TRY(job->incarnation()).has_value();
    if (!has_lived && CK_TRY(image::list_generations(job->path())).empty())
      CK_TRY(job::remove_job_folder(*job));
  }
  CK_TRY(remove_image(plan.image + ".part"));
  return remove_incoming(plan);
}

// Early images are what the later ones are on top of.
Result<std::string> path_for(const StepPlan& plan, transfer::Part part,
                             const transfer::ImageHead& head) {
  if (part.files) return bundle_path(plan, part.early);
  if (!part.early) return plan.image;
  const std::string folder = folder_of(plan.image);
  if (CK_TRY(image::list_parents(folder)).size() >= static_cast<std::size_t>(image::kMaxParents))
    return make_error(ErrorKind::kRefused, "a peer sends too many images");
  return folder + "/" + image::parent_name(head.footer.manifest_hash);
}

// The newest last: where two have the same chunk, it is taken from there.
void add_stores(const StepPlan& plan, transfer::ChunkStore& store) {
  const Result<std::optional<job::JobDir>> job = find_job(plan.jobs_folder, plan.terms.job);
  if (job.ok() && job->has_value()) {
    const auto generations = image::list_generations((*job)->path());
    if (generations.ok())
      for (const image::Generation& generation : *generations) (void)store.add(generation.path);
  }
  const auto parents = image::list_parents(folder_of(plan.image));
  if (parents.ok())
    for (const std::string& parent : *parents) (void)store.add(parent);
  (void)store.add(bundle_path(plan, true));
}

}  // namespace

std::string incoming_path(const std::string& jobs_folder, const std::string& handover) {
  return jobs_folder + kIncoming + "/" + handover + "/image.ckpt";
}

std::string jobs_folder_above(const std::string& image) {
  const std::string jobs = folder_of(folder_of(image));  // source: JOBS/JOB/IMAGE
  return jobs.ends_with(kIncoming) ? folder_of(jobs) : jobs;
}

Result<StepPlan> completed(StepPlan plan) {
  if (plan.jobs_folder.empty()) plan.jobs_folder = CK_TRY(job::jobs_folder(""));
  return plan;
}

Status receive_job(const StepPlan& incomplete, UniqueFd stream) {
  const StepPlan plan = CK_TRY(completed(incomplete));
  const std::string folder = folder_of(plan.image);
  CK_TRY(job::make_folders(folder));
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return sys_error("look at " + folder);
  transfer::Reception reception;
  reception.path_for = [&plan](transfer::Part part, const transfer::ImageHead& head) {
    return path_for(plan, part, head);
  };
  bool of_use = true;
  reception.arrived = [&](transfer::Part part, const std::string& path) -> Status {
    if (part.files) return take_bundle(plan, path);
    if (!part.early || !of_use) return {};
    of_use = use_early(plan, path).ok();  // why not is in the job's restart.log
    return {};
  };
  reception.add_stores = [&plan](transfer::ChunkStore& store) { add_stores(plan, store); };
  reception.most_bytes = std::uint64_t{disk.f_blocks} * disk.f_frsize;
  transfer::Stream connection(std::move(stream));
  return transfer::receive_images(connection, reception);
}

Result<wire::Result> do_target_step(const StepPlan& incomplete, const StepOrder& order) {
  StepPlan plan = CK_TRY(completed(incomplete));
  wire::Result result;
  Status done;
  switch (order.step) {
    case Step::kPreCheck:
      done = pre_check(plan.offer, plan.jobs_folder);
      plan.image = incoming_path(plan.jobs_folder, plan.terms.id);
      if (done.ok()) done = keep_needs(plan);
      result.set_image(plan.image);
      break;
    case Step::kRestoreHeld:
      done = restore_held(plan);
      break;
    case Step::kRelease:
      done = release(plan, order.counter);
      break;
    case Step::kDiscard:
      done = discard(plan);
      break;
    case Step::kDropImage:
      done = drop_image(plan);
      break;
    default:
      done = make_error(ErrorKind::kBug, "that is not a step of the target");
  }
  if (!done.ok()) return std::move(done).error();
  return result;
}

}  // namespace ck::driver::migrate
