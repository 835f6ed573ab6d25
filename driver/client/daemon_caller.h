// Calls to the terminal of a job on another host, by the ckd of this one. One thread.
#pragma once

#include <memory>

#include "driver/terminal/caller.h"

namespace ck::client {

std::unique_ptr<driver::terminal::Caller> make_daemon_caller();

}  // namespace ck::client
