// The invitations that are open: a file each, named after the guest's public key, that holds when
// it ends. Any thread.
#pragma once

#include <string>

#include "driver/cluster/certificate.h"

namespace ck::cluster {

// `key`: key_fingerprint() of the guest.
Status save_invitation(const std::string& folder, const std::string& key, Time end);
// When it ends. An Error of kind kPermission if there is none, it was used, or it has ended (then
// errnum is ETIMEDOUT).
Result<Time> find_invitation(const std::string& folder, const std::string& key);
// The same, and removes it: of two that try, one gets an Error of kind kPermission.
Result<Time> use_invitation(const std::string& folder, const std::string& key);

}  // namespace ck::cluster
