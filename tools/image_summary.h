// What ckpt inspect shows of an image, as JSON: the text form prints the same. Pure.
#pragma once

#include <boost/json.hpp>

#include "runtime/image/reader.h"

namespace ck::tools {

boost::json::object summarise(const image::Reader& reader);

}  // namespace ck::tools
