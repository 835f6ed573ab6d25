#include "driver/migrate/job_files.h"

#include <unistd.h>

#include "driver/files/bundle.h"
#include "driver/files/collect.h"
#include "driver/files/list.h"
#include "driver/migrate/job_control.h"
#include "runtime/image/bundle.h"
#include "runtime/job/names.h"
#include "runtime/job/small_file.h"

namespace ck::driver::migrate {
namespace {

constexpr std::size_t kTagBytes = 16;
constexpr const char* kLeft = "/left-files";

std::string at_source(const StepPlan& plan, const char* what) {
  return plan.folder + "/.files-" + plan.terms.id + what;
}

std::string plan_path(const StepPlan& plan) {
  return plan.image + ".plan";
}

Result<files::wire::List> collect(const StepPlan& plan, const std::string& image) {
  const auto reader = CK_TRY(image::Reader::open(image, true));
  return files::collect(reader->manifest(), plan.jobs_folder);
}

Result<transfer::Sent> send(transfer::Stream& stream, const std::string& path, bool early,
                            const transfer::OnProgress& progress) {
  const auto bundle = CK_TRY(transfer::OutgoingImage::open(path));
  return transfer::send_image(stream, *bundle, {.early = early, .files = true}, progress);
}

// None, if nothing was planned.
Result<handover::wire::FilesPlan> load_files_plan(const StepPlan& plan) {
  handover::wire::FilesPlan files;
  const auto bytes = job::read_small_file(plan_path(plan));
  if (!bytes.ok() && bytes.error().errnum == ENOENT) return files;
  if (!bytes.ok()) return bytes.error();
  if (!files.ParseFromString(*bytes))
    return make_error(ErrorKind::kBadImage, plan_path(plan) + " is damaged");
  return files;
}

}  // namespace

Result<PathMaps> maps_of(const handover::wire::FilesPlan& plan) {
  PathMaps maps;
  for (const handover::wire::PathMap& map : plan.maps())
    maps.push_back(CK_TRY(parse_path_map(map.from() + "=" + map.to())));
  return maps;
}

Result<transfer::Sent> send_early_files(transfer::Stream& stream, const StepPlan& plan,
                                        const std::string& image,
                                        const transfer::OnProgress& progress) {
  const std::string path = at_source(plan, ".early");
  files::wire::List list = CK_TRY(collect(plan, image));
  CK_TRY(files::write_bundle(path, list, nullptr));
  Result<transfer::Sent> sent = send(stream, path, true, progress);
  CK_TRY(remove_image(path));
  if (sent.ok()) CK_TRY(files::save_list(at_source(plan, ".list"), list));
  return sent;
}

Result<SentFiles> send_last_files(transfer::Stream& stream, const StepPlan& plan,
                                  const transfer::OnProgress& progress) {
  const std::string path = at_source(plan, ".last");
  SentFiles result;
  files::wire::List list;
  if (::access(path.c_str(), F_OK) == 0) {  // the link was cut
    const auto bundle = CK_TRY(image::open_bundle(path));
    list = CK_TRY(files::read_list(*bundle));
  } else {
    const files::wire::List before = CK_TRY(files::load_list(at_source(plan, ".list")));
    list = CK_TRY(collect(plan, plan.image));
    CK_TRY(files::save_list(plan.folder + kLeft, list));
    CK_TRY(files::write_bundle(path, list, &before));
  }
  for (const files::wire::Entry& entry : list.entries()) {
    if (entry.kind() != files::wire::REGULAR) continue;
    ++result.files;
    result.bytes += entry.size();
  }
  result.sent = CK_TRY(send(stream, path, false, progress));
  return result;
}

Status forget_sent_files(const StepPlan& plan) {
  for (const char* what : {".early", ".list", ".last"}) CK_TRY(remove_image(at_source(plan, what)));
  return {};
}

Status save_files_plan(const StepPlan& plan) {
  const handover::wire::FilesPlan& files = plan.offer.needs().files();
  if (!files.ship() && files.maps().empty()) return {};
  const std::string path = plan_path(plan);
  CK_TRY(job::make_folders(path.substr(0, path.rfind('/'))));
  return job::replace_file(path, files.SerializeAsString());
}

Result<files::Place> place_of(const StepPlan& plan) {
  files::Place place;
  place.record = plan.image + ".placed";
  place.tag = plan.terms.id.substr(0, kTagBytes);
  place.maps = CK_TRY(maps_of(CK_TRY(load_files_plan(plan))));
  const auto job = CK_TRY(find_job(plan.jobs_folder, plan.terms.job));
  place.left = job ? job->path() + kLeft : plan.image + ".nothing-left";
  return place;
}

std::string bundle_path(const StepPlan& plan, bool early) {
  return plan.image + (early ? ".files-early" : ".files");
}

Status take_bundle(const StepPlan& plan, const std::string& path) {
  if (!CK_TRY(load_files_plan(plan)).ship())
    return make_error(ErrorKind::kRefused, "a peer sends files that it has not offered");
  const auto bundle = CK_TRY(image::open_bundle(path));
  return files::stage(*bundle, CK_TRY(place_of(plan)));
}

Result<std::vector<std::string>> map_options(const StepPlan& plan) {
  std::vector<std::string> options;
  for (const PathMap& map : CK_TRY(maps_of(CK_TRY(load_files_plan(plan)))))
    options.insert(options.end(), {"--map", map.from + "=" + map.to});
  return options;
}

Status forget_placed_files(const StepPlan& plan) {
  for (const bool early : {true, false}) {
    CK_TRY(remove_image(bundle_path(plan, early)));
    CK_TRY(remove_image(bundle_path(plan, early) + ".part"));
  }
  CK_TRY(remove_image(plan.image + ".placed"));
  return remove_image(plan_path(plan));
}

}  // namespace ck::driver::migrate
