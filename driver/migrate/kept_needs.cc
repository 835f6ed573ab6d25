#include "driver/migrate/kept_needs.h"

#include "driver/migrate/job_control.h"
#include "runtime/job/names.h"
#include "runtime/job/small_file.h"

namespace ck::driver::migrate {
namespace {

std::string path_of(const StepPlan& plan) {
  return plan.image + ".needs";
}

}  // namespace

Status keep_needs(const StepPlan& plan) {
  const handover::wire::Needs& all = plan.offer.needs();
  handover::wire::Needs kept;
  if (all.files().ship() || !all.files().maps().empty()) *kept.mutable_files() = all.files();
  const std::string bytes = kept.SerializeAsString();
  if (bytes.empty()) return {};
  const std::string path = path_of(plan);
  CK_TRY(job::make_folders(path.substr(0, path.rfind('/'))));
  return job::replace_file(path, bytes);
}

Result<handover::wire::Needs> kept_needs(const StepPlan& plan) {
  handover::wire::Needs kept;
  const auto bytes = job::read_small_file(path_of(plan));
  if (!bytes.ok() && bytes.error().errnum == ENOENT) return kept;
  if (!bytes.ok()) return bytes.error();
  if (!kept.ParseFromString(*bytes))
    return make_error(ErrorKind::kBadImage, path_of(plan) + " is damaged");
  return kept;
}

Status forget_needs(const StepPlan& plan) {
  return remove_image(path_of(plan));
}

}  // namespace ck::driver::migrate
