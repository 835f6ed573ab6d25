// Extended register state (XSAVE) of the image in the layout of this host's CPU: AMD and Intel keep
// some components at different offsets in the standard format. Pure; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"

namespace ck::restore {

// `saved`: as in ThreadRecord.xstate, of the host described by `host`. Writes what rt_sigreturn(2)
// expects here into `target`.
Status lay_out_xstate(const std::string& saved, const image::HostRecord& host,
                      std::span<std::byte> target);

}  // namespace ck::restore
