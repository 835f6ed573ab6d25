// The host that has the CA's key: it makes the cluster, invites, signs and revokes. Its record of
// what it signed is a folder of certificates. Any thread; the functions take the folder's lock.
#pragma once

#include <string>
#include <vector>

#include "driver/cluster/member.h"
#include "driver/cluster/settings.h"
#include "driver/cluster/token.h"

namespace ck::cluster {

// Makes CA, this host's certificate, ckd.toml and peers.toml. `cluster`: host, address and listen;
// the rest is set here. Refused if there is a cluster already.
Status make_cluster(const std::string& folder, ClusterSettings cluster);

class Authority {
 public:
  // kNotFound if the CA's key is not on this host.
  static Result<Authority> open(const std::string& folder);

  // An invitation that this host's ckd will honour until it ends.
  Result<Token> invite(std::chrono::seconds lifetime) const;

  // The certificate, PEM, of a host that joins. Refused (kRefused) if a host of that name has a
  // certificate that is still good. Puts it among the peers.
  Result<std::string> admit(const std::string& host, const std::string& address,
                            const std::string& request_pem) const;
  // A new certificate for a member.
  Result<std::string> renew(const std::string& host, const std::string& request_pem) const;

  // All certificates of that host. kNotFound if it has none that is still good.
  Status revoke(const std::string& host) const;

 private:
  struct Issued {
    std::string host;
    std::string serial;
    Time end;
  };
  Authority(std::string folder, Settings settings, Key key, Member member)
      : folder_(std::move(folder)),
        settings_(std::move(settings)),
        key_(std::move(key)),
        member_(std::move(member)) {}
  Result<std::vector<Issued>> good_certificates(const std::string& host) const;
  Result<std::string> sign(const std::string& host, const std::string& request_pem) const;

  std::string folder_;
  Settings settings_;
  Key key_;
  Member member_;
};

}  // namespace ck::cluster
