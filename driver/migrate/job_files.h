// What the two ends of a hand-over do with the job's files (driver/files), as its plan says.
// Blocking; in a process of the job's owner.
#pragma once

#include <string>

#include "driver/files/placement.h"
#include "driver/migrate/steps.h"
#include "driver/transfer/send_image.h"
#include "driver/transfer/stream.h"
#include "runtime/base/path_map.h"
#include "runtime/base/result.h"

namespace ck::driver::migrate {

// The plan has passed handover::check().
Result<PathMaps> maps_of(const handover::wire::FilesPlan& plan);

// --- the host that the job leaves; `job`: its folder

// What goes along of the running job, of which `image` has just been taken.
Result<transfer::Sent> send_early_files(transfer::Stream& stream, const StepPlan& plan,
                                        const std::string& image,
                                        const transfer::OnProgress& progress);
struct SentFiles {
  transfer::Sent sent;
  std::uint64_t files = 0, bytes = 0;
};
// The rest of it, once the job stands still. Also notes what the job leaves here.
Result<SentFiles> send_last_files(transfer::Stream& stream, const StepPlan& plan,
                                  const transfer::OnProgress& progress);
// What the two have put into the job's folder for this hand-over.
Status forget_sent_files(const StepPlan& plan);

// --- the host that it comes to

// For the steps that follow, also after a crash.
Status save_files_plan(const StepPlan& plan);
Result<files::Place> place_of(const StepPlan& plan);
std::string bundle_path(const StepPlan& plan, bool early);
// The files have come.
Status take_bundle(const StepPlan& plan, const std::string& path);
// Options for ckpt restart.
Result<std::vector<std::string>> map_options(const StepPlan& plan);
// All of the above but the files themselves.
Status forget_placed_files(const StepPlan& plan);

}  // namespace ck::driver::migrate
