// What makes this host a member of its cluster: key, certificate, CA and revocations in the
// configuration folder. Any thread.
#pragma once

#include <string>

#include "driver/cluster/certificate.h"
#include "driver/cluster/revocation.h"

namespace ck::cluster {

inline constexpr char kAuthorityFile[] = "ca.pem";
inline constexpr char kAuthorityKeyFile[] = "ca.key";  // on the authority's host only
inline constexpr char kMemberFile[] = "host.pem";
inline constexpr char kMemberKeyFile[] = "host.key";
inline constexpr char kRevocationsFile[] = "revoked.pem";

struct Member {
  MemberName name;
  Key key;
  Certificate certificate;
  Certificate authority;
  RevocationList revoked;
};
// An Error of kind kPermission if the files do not fit each other.
Result<Member> load_member(const std::string& folder);

// Of kind kPermission, if it is too early or too late for the certificate.
Status check_dates(const Certificate& certificate, const std::string& whose);
// Two thirds of the certificate's time are over.
bool wants_renewal(const Certificate& certificate);

// Writes the file if `pem` is signed by `authority` and newer than what is there; true if it was.
// The folder's lock must be held.
Result<bool> save_revocations(const std::string& folder, const std::string& pem,
                              const Certificate& authority);

}  // namespace ck::cluster
