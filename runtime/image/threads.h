// Worker threads of the image layer.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

#include "runtime/base/result.h"

namespace ck::image {

// `wanted`, or one a core of those that this process may use.
unsigned thread_count(unsigned wanted);

// Starts `count` threads with all signals blocked (signals are the main thread's business). Fewer
// than `count` are good enough if the system refuses more; none is an error.
Status start_threads(unsigned count, const std::function<void(unsigned)>& body,
                     std::vector<std::jthread>& into);

}  // namespace ck::image
