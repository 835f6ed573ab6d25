// ckpt rm: deletes jobs with all their images, or single images.
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "runtime/image/generations.h"
#include "runtime/image/reader.h"
#include "runtime/job/image_target.h"
#include "runtime/job/names.h"
#include "runtime/job/remove_job.h"
#include "tools/ckpt.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

struct Options {
  std::vector<std::string> targets;
  std::string dir;
  bool force = false;
};

// A file that is not an image is somebody's mistake in typing; a damaged image may go.
Status remove_image(const std::string& path) {
  bool named_like_one = path.ends_with(".ckpt");
  if (!named_like_one) (void)CK_TRY(image::Reader::open(path, false));
  if (unlink(path.c_str()) != 0) return sys_error("delete " + path);
  return image::remove_unneeded_parents(path.substr(0, path.rfind('/')));
}

Status remove_one(const std::string& target, const std::string& folder, bool force) {
  job::ImageTarget found = CK_TRY(job::locate_image(target, folder));
  if (!found.image_path.empty()) return remove_image(found.image_path);
  return job::remove_job(*found.job, force);
}

Result<int> remove(const Options& options) {
  std::string folder = CK_TRY(job::jobs_folder(options.dir));
  int status = 0;
  for (const std::string& target : options.targets) {
    Status removed = remove_one(target, folder, options.force);
    if (!removed.ok()) status = fail(kCkpt, removed.error());
  }
  return status;
}

}  // namespace

void declare_rm(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("rm", "Delete jobs with all their images, or single images");
  auto options = std::make_shared<Options>();
  sub->add_option("JOB|IMAGE", options->targets, "Jobs that do not run, or paths of images")
      ->required();
  sub->add_flag("--force", options->force, "Also a job that may be running on another host");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return remove(*options); }; });
}

}  // namespace ck::tools
