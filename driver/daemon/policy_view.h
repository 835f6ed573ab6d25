// What hosts and steps tell, as the load policy sees it. Pure; any thread.
#pragma once

#include "driver/migrate/steps.pb.h"
#include "driver/policy/types.h"
#include "driver/protocol/control.pb.h"

namespace ck::daemon {

// The one bit of `features`: it has all that the CPU of this host has, and so all that a job here
// could have seen.
inline constexpr std::uint64_t kAllFeatures = 1;

// This host itself.
driver::HostView view_of(const protocol::wire::HostReport& report, driver::Instant now);
// Of a reply to ask_hosts(): the others that have answered.
std::vector<driver::HostView> views_of_peers(const protocol::wire::HostsReply& hosts,
                                             driver::Instant now);
driver::JobView view_of(const driver::migrate::wire::RunningJob& job);

}  // namespace ck::daemon
