// ckpt ls: the jobs in a folder, or the images of one.
#include <sys/stat.h>

#include <memory>

#include "runtime/base/timespec.h"
#include "runtime/image/generations.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/job_state.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/print.h"

namespace ck::tools {
namespace {

namespace json = boost::json;

struct Options {
  std::string job;
  std::string dir;
  bool json = false;
  bool all_hosts = false;
};

struct ImageFile {
  std::uint64_t generation = 0;
  std::string path;
  std::uint64_t bytes = 0;
  std::int64_t unix_ns = 0;
};

Result<std::vector<ImageFile>> images_of(const job::JobDir& job) {
  std::vector<ImageFile> images;
  for (const image::Generation& generation : CK_TRY(image::list_generations(job.path()))) {
    struct stat info;
    if (stat(generation.path.c_str(), &info) != 0) continue;  // removed by retention just now
    images.push_back({generation.number, generation.path, static_cast<std::uint64_t>(info.st_size),
                      to_nanoseconds(info.st_mtim)});
  }
  return images;
}

json::object image_json(const ImageFile& image) {
  return {{"generation", image.generation},
          {"path", image.path},
          {"bytes", image.bytes},
          {"unix_ns", image.unix_ns}};
}

json::object job_json(const job::JobDir& job, const job::JobState& state,
                      const std::vector<ImageFile>& images) {
  json::object object{
      {"id", job.info().id},
      {"name", job.info().name},
      {"folder", job.path()},
      {"class", job.info().settings.job_class},
      {"state", job::state_name(state.kind)},
      {"created_unix_ns", job.info().created_unix_ns},
      {"command", json::array(job.info().command.begin(), job.info().command.end())},
      {"cloned_from", job.info().cloned_from}};
  if (state.finished && state.finished->known) {
    object["exit_status"] = state.finished->exit_status;
  }
  if (state.suspended_by != job::SuspendedBy::kNobody)
    object["suspended_by"] = job::name(state.suspended_by);
  if (state.held) object["held"] = true;
  if (state.incarnation) {
    object["incarnation"] = state.incarnation->counter;
    object["host"] = state.incarnation->host.name;
    object["supervisor"] = state.incarnation->supervisor.value;
    object["root"] = state.incarnation->root.value;
  }
  json::array list;
  for (const ImageFile& image : images) list.push_back(image_json(image));
  object["images"] = std::move(list);
  return object;
}

std::vector<std::string> job_row(const job::JobDir& job, const job::JobState& state,
                                 const std::vector<ImageFile>& images) {
  bool runs = state.kind == job::JobState::Kind::kRunning;
  return {printable(job.info().name),
          job.info().id,
          printable(job::state_text(state)),
          runs ? to_string(state.incarnation->supervisor) : "-",
          std::to_string(images.size()),
          images.empty() ? "-" : format_unix_ns(images.back().unix_ns),
          images.empty() ? "-" : format_bytes(images.back().bytes),
          format_command(job.info().command)};
}

Result<int> list_images(const job::JobDir& job, bool as_json) {
  std::vector<ImageFile> images = CK_TRY(images_of(job));
  if (as_json) {
    print_json_line(job_json(job, CK_TRY(job::job_state(job)), images));
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"GENERATION", "TIME", "SIZE", "IMAGE"}};
  for (const ImageFile& image : images) {
    rows.push_back({std::to_string(image.generation), format_unix_ns(image.unix_ns),
                    format_bytes(image.bytes), printable(image.path)});
  }
  print_table(rows);
  return 0;
}

Result<int> list(const Options& options) {
  if (options.all_hosts && !options.dir.empty()) {
    return make_error(ErrorKind::kUsage,
                      "--dir names a folder of this host, --all-hosts others too",
                      "ckd lists the folder that it was started with");
  }
  if (options.all_hosts) return list_all_hosts(options.json);
  std::string folder = CK_TRY(job::jobs_folder(options.dir));
  if (!options.job.empty()) {
    return list_images(CK_TRY(job::JobDir::find(folder, options.job)), options.json);
  }
  std::vector<std::vector<std::string>> rows{
      {"NAME", "ID", "STATE", "PID", "IMAGES", "NEWEST", "SIZE", "COMMAND"}};
  json::array objects;
  int status = 0;
  for (const std::string& name : CK_TRY(job::list_jobs(folder))) {
    auto add = [&]() -> Status {
      job::JobDir job = CK_TRY(job::JobDir::open(folder + "/" + name));
      job::JobState state = CK_TRY(job::job_state(job));
      std::vector<ImageFile> images = CK_TRY(images_of(job));
      rows.push_back(job_row(job, state, images));
      objects.push_back(job_json(job, state, images));
      return {};
    };
    Status added = add();
    // A job that is being removed is no trouble; one that cannot be read must not hide the others.
    if (!added.ok() && added.error().errnum != ENOENT) status = fail(kCkpt, added.error());
  }
  if (options.json) {
    print_json_line(objects);
  } else {
    print_table(rows);
  }
  return status;
}

}  // namespace

void declare_ls(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("ls", "List jobs, or the images of one");
  auto options = std::make_shared<Options>();
  CLI::Option* job = sub->add_option("JOB", options->job, "List this job's images");
  sub->add_flag("--json", options->json, "Print JSON");
  sub->add_flag("--all-hosts", options->all_hosts, "Jobs on all hosts of the cluster (asks ckd)")
      ->excludes(job);
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return list(*options); }; });
}

}  // namespace ck::tools
