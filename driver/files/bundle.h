// A bundle: files in the format of images, so that they go the way of images, and what the other
// side has of them is not sent again. Blocking; in a process of the files' owner.
#pragma once

#include <string>

#include "driver/files/files.pb.h"
#include "runtime/base/result.h"

namespace ck::driver::files {

// Writes the bundle of the files of `list`, which is completed by it: their objects, the sizes that
// were read, and without those that have gone. `before`: the list of a former bundle; files that
// have not changed since are named only. Without it files may change meanwhile: the bundle then has
// something of each that it once was, more or less.
Status write_bundle(const std::string& path, wire::List& list, const wire::List* before);

}  // namespace ck::driver::files
