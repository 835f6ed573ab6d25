// The certificates of a cluster: of its authority (CA), of its members, and of guests who hold an
// invitation. Any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "driver/cluster/key.h"

namespace ck::cluster {

using Time = std::chrono::sys_seconds;

struct Validity {
  Time from;
  Time to;
};
// From a minute ago, so that clocks need not agree to the second.
Validity valid_for(std::chrono::seconds lifetime);

// What a member's certificate says of it: the URI ckd://CLUSTER/HOST among its alternative names.
struct MemberName {
  std::string cluster;
  std::string host;
  bool operator==(const MemberName&) const = default;
};

class Certificate {
 public:
  static Result<Certificate> from_pem(const std::string& pem);
  explicit Certificate(X509Ptr x509) : x509_(std::move(x509)) {}

  Result<std::string> to_pem() const;
  X509* get() const { return x509_.get(); }
  Validity validity() const;
  std::string serial() const;  // hexadecimal digits

 private:
  X509Ptr x509_;
};

// Of any certificate, also one that nobody has checked yet.
std::optional<MemberName> member_name(X509* certificate);
std::string fingerprint(X509* certificate);  // SHA-256, 32 bytes

// For a new cluster.
Result<Certificate> make_authority_certificate(const Key& key, const std::string& cluster,
                                               Validity validity);
// `public_key` becomes that of the host; `name` must have passed check_host_name().
Result<Certificate> sign_member(const Certificate& authority, const Key& authority_key,
                                EVP_PKEY* public_key, const MemberName& name, Validity validity);
// Signed by itself: what makes it good is that its key is that of an invitation.
Result<Certificate> make_guest_certificate(const Key& key, Validity validity);

// The member that `certificate` is for: signed by `authority` and for `key`. The dates are not
// looked at.
Result<MemberName> check_member(const Certificate& certificate, const Certificate& authority,
                                EVP_PKEY* key);

}  // namespace ck::cluster
