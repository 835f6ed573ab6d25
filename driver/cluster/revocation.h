// The authority's list of revoked certificates (CRL). A later list has a higher number; its date
// does not matter, so that a cluster goes on while its authority is away. Any thread.
#pragma once

#include <string>
#include <vector>

#include "driver/cluster/certificate.h"

namespace ck::cluster {

class RevocationList {
 public:
  // An Error of kind kPermission if it is not signed by `authority`.
  static Result<RevocationList> from_pem(const std::string& pem, const Certificate& authority);
  static Result<RevocationList> sign(const Certificate& authority, const Key& authority_key,
                                     const std::vector<std::string>& serials, std::uint64_t number);

  Result<std::string> to_pem() const;
  std::uint64_t number() const;
  std::vector<std::string> serials() const;
  X509_CRL* get() const { return crl_.get(); }

 private:
  explicit RevocationList(CrlPtr crl) : crl_(std::move(crl)) {}
  CrlPtr crl_;
};

}  // namespace ck::cluster
