// ckpt verify: every checksum of an image.
#include <cstdio>
#include <memory>

#include "runtime/job/image_target.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/print.h"
#include "tools/progress_bar.h"

namespace ck::tools {
namespace {

struct Options {
  std::string target;
  std::string dir;
  unsigned threads = 0;
  bool json = false;
};

Result<int> verify(const Options& options) {
  std::string folder = CK_TRY(job::jobs_folder(options.dir));
  job::OpenImage image =
      CK_TRY(job::open_image(CK_TRY(job::locate_image(options.target, folder)), false));
  for (const std::string& line : image.skipped)
    std::fprintf(stderr, "%s: %s\n", kCkpt, line.c_str());
  ProgressBar bar;
  Result<image::VerifyReport> verified = image.reader->verify(options.threads, &bar);
  bar.clear();
  image::VerifyReport report = CK_TRY(std::move(verified));
  if (options.json) {
    print_json_line({{"image", image.reader->path()},
                     {"whole", true},
                     {"chunks", report.chunks},
                     {"bytes", report.bytes}});
  } else {
    std::printf("%s: whole, %llu chunks, %s of content\n", printable(image.reader->path()).c_str(),
                static_cast<unsigned long long>(report.chunks), format_bytes(report.bytes).c_str());
  }
  return 0;
}

}  // namespace

void declare_verify(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("verify", "Check every checksum of an image");
  auto options = std::make_shared<Options>();
  sub->add_option("IMAGE|JOB", options->target,
                  "Path of an image; or a job: its newest whole image")
      ->required();
  add_parsed(*sub, "--threads", options->threads, number_between(0, 1024), "N",
             "Threads (default: one a core)");
  sub->add_flag("--json", options->json, "Print the result as JSON");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return verify(*options); }; });
}

}  // namespace ck::tools
