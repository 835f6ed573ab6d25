// The files of a job at the host that it comes to. Nothing that somebody else has written is ever
// changed: what comes is put beside its place first (stage), is linked there while the job is
// restored (install), and its second name goes when the job is let run (settle). Until then all of
// it can be taken back (take_back). What to do, and what was done, is in a record on disk before
// it is done: any of these may be repeated after a crash. Blocking; in a process of the job's
// owner.
#pragma once

#include <string>

#include "driver/files/files.pb.h"
#include "runtime/base/path_map.h"
#include "runtime/base/result.h"
#include "runtime/image/reader.h"

namespace ck::driver::files {

struct Place {
  std::string record;  // path; no file there: no files come
  std::string tag;     // of the hand-over, in names of temporary files
  PathMaps maps;       // from the paths of the bundle to those here
  std::string left;    // path of the list of what the job has left here; it need not be there
};

// What is in a bundle, and differs from what is here, beside its place. A second bundle may follow,
// which has what changed since the first. kRefused: somebody else's file is in the way; others: it
// cannot be written here.
Status stage(const image::Reader& bundle, const Place& place);

// Each file at its place, and on disk.
Status install(const Place& place);

// The job is about to run: what was there before goes, and take_back() would take it as the job's.
Status settle(const Place& place);

// As it was before stage(); after settle() without what had been there.
Status take_back(const Place& place);

// The record.
Result<wire::Placement> load_placement(const std::string& path);
Status save_placement(const std::string& path, const wire::Placement& placement);

}  // namespace ck::driver::files
