// An image whose job finds its files elsewhere than where it had them. What the program itself
// remembers of paths, in its memory, stays what it was. Any thread.
#pragma once

#include <memory>

#include "runtime/base/path_map.h"
#include "runtime/base/result.h"
#include "runtime/image/reader.h"

namespace ck::restore {

// Changes all paths of the file system in the manifest by which a restart finds things: working
// directories, programs, open and mapped files, UNIX sockets, watches. An Error if one becomes too
// long for what it is.
Status map_paths(image::Manifest& manifest, const PathMaps& maps);

// `reader` with such a manifest; as it is, if there are no maps.
Result<std::unique_ptr<image::Reader>> with_mapped_paths(std::unique_ptr<image::Reader> reader,
                                                         const PathMaps& maps);

}  // namespace ck::restore
