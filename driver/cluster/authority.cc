#include "driver/cluster/authority.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "driver/cluster/invitations.h"
#include "driver/cluster/peers.h"
#include "driver/cluster/secrets.h"
#include "driver/protocol/check.h"
#include "runtime/job/names.h"
#include "runtime/job/small_file.h"

namespace ck::cluster {
namespace {

constexpr std::chrono::hours kAuthorityLifetime{24 * 365 * 20};

std::string issued_folder(const std::string& folder) {
  return folder + "/issued";
}

Status record(const std::string& folder, const Certificate& certificate, const std::string& pem) {
  CK_TRY(job::make_folders(issued_folder(folder)));
  return job::replace_file(issued_folder(folder) + "/" + certificate.serial() + ".pem", pem);
}

Result<std::string> new_cluster_id() {
  Seed random = CK_TRY(make_seed());
  return to_hex({random.data(), 8});
}

Status check_nothing_there(const std::string& folder) {
  for (const char* name : {kSettingsFile, kMemberKeyFile, kAuthorityKeyFile}) {
    struct stat info;
    std::string path = folder + "/" + name;
    if (stat(path.c_str(), &info) == 0) {
      return make_error(ErrorKind::kRefused, path + " exists: this host has a configuration",
                        "move it away, if it shall not be used any more");
    }
  }
  return {};
}

// The host's key, certificate and an empty list of revocations.
Status write_first_member(const std::string& folder, const ClusterSettings& cluster,
                          const Certificate& authority, const Key& authority_key) {
  Key key = CK_TRY(Key::make());
  Certificate certificate =
      CK_TRY(sign_member(authority, authority_key, key.get(), {cluster.id, cluster.host},
                         valid_for(cluster.certificate_lifetime)));
  std::string pem = CK_TRY(certificate.to_pem());
  RevocationList none = CK_TRY(RevocationList::sign(authority, authority_key, {}, 1));
  CK_TRY(job::replace_file(folder + "/" + kMemberKeyFile, CK_TRY(key.to_pem())));
  CK_TRY(job::replace_file(folder + "/" + kRevocationsFile, CK_TRY(none.to_pem())));
  CK_TRY(record(folder, certificate, pem));
  return job::replace_file(folder + "/" + kMemberFile, pem);
}

}  // namespace

Status make_cluster(const std::string& folder, ClusterSettings cluster) {
  CK_TRY(protocol::check_host_name(cluster.host));
  CK_TRY(protocol::check_address(cluster.address));
  CK_TRY(protocol::check_address(cluster.listen));
  CK_TRY(job::make_folders(folder));
  UniqueFd lock = CK_TRY(lock_folder(folder));
  CK_TRY(check_nothing_there(folder));
  cluster.id = CK_TRY(new_cluster_id());
  cluster.authority = cluster.host;
  Key key = CK_TRY(Key::make());
  Certificate authority =
      CK_TRY(make_authority_certificate(key, cluster.id, valid_for(kAuthorityLifetime)));
  CK_TRY(job::replace_file(folder + "/" + kAuthorityKeyFile, CK_TRY(key.to_pem())));
  CK_TRY(job::replace_file(folder + "/" + kAuthorityFile, CK_TRY(authority.to_pem())));
  CK_TRY(write_first_member(folder, cluster, authority, key));
  CK_TRY(job::replace_file(folder + "/" + kPeersFile, new_peers_text()));
  return job::replace_file(folder + "/" + kSettingsFile, settings_text(cluster));
}

Result<Authority> Authority::open(const std::string& folder) {
  Settings settings = CK_TRY(read_settings(folder));
  if (!settings.cluster) {
    return make_error(ErrorKind::kNotFound, "this host belongs to no cluster",
                      "ckd init makes one, ckd join enters one");
  }
  Result<std::string> key = read_secret(folder + "/" + kAuthorityKeyFile);
  if (!key.ok() && key.error().errnum == ENOENT) {
    return make_error(ErrorKind::kNotFound, "the cluster's CA is not on this host",
                      "do that on host " + settings.cluster->authority);
  }
  if (!key.ok()) return std::move(key).error();
  Key authority_key = CK_TRY(Key::from_pem(*key));
  return Authority(folder, std::move(settings), std::move(authority_key),
                   CK_TRY(load_member(folder)));
}

Result<Token> Authority::invite(std::chrono::seconds lifetime) const {
  UniqueFd lock = CK_TRY(lock_folder(folder_));
  Token token{settings_.cluster->address, settings_.cluster->host,
              fingerprint(member_.authority.get()), CK_TRY(make_seed())};
  Key guest = CK_TRY(Key::from_seed(token.seed));
  CK_TRY(save_invitation(folder_, CK_TRY(key_fingerprint(guest.get())), valid_for(lifetime).to));
  return token;
}

Result<std::vector<Authority::Issued>> Authority::good_certificates(const std::string& host) const {
  std::vector<std::string> revoked =
      CK_TRY(RevocationList::from_pem(CK_TRY(read_trusted(folder_ + "/" + kRevocationsFile)),
                                      member_.authority))
          .serials();
  std::vector<Issued> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(issued_folder(folder_), error)) {
    if (entry.path().extension() != ".pem") continue;
    Certificate certificate =
        CK_TRY(Certificate::from_pem(CK_TRY(read_trusted(entry.path().string()))));
    auto name = member_name(certificate.get());
    if (!name || name->host != host) continue;
    Issued issued{host, certificate.serial(), certificate.validity().to};
    bool is_revoked = std::find(revoked.begin(), revoked.end(), issued.serial) != revoked.end();
    if (!is_revoked && std::chrono::system_clock::now() <= issued.end) found.push_back(issued);
  }
  if (error) return sys_error("read folder " + issued_folder(folder_), error.value());
  return found;
}

Result<std::string> Authority::sign(const std::string& host, const std::string& request_pem) const {
  KeyPtr key = CK_TRY(key_of_request(request_pem));
  Certificate certificate =
      CK_TRY(sign_member(member_.authority, key_, key.get(), {settings_.cluster->id, host},
                         valid_for(settings_.cluster->certificate_lifetime)));
  std::string pem = CK_TRY(certificate.to_pem());
  CK_TRY(record(folder_, certificate, pem));  // before it is given away: so it can be revoked
  return pem;
}

Result<std::string> Authority::admit(const std::string& host, const std::string& address,
                                     const std::string& request_pem) const {
  UniqueFd lock = CK_TRY(lock_folder(folder_));
  if (host == settings_.cluster->host || !CK_TRY(good_certificates(host)).empty()) {
    return make_error(ErrorKind::kRefused, "the cluster has a host " + host + " already",
                      "join with --host OTHER-NAME, or there: ckd revoke " + host);
  }
  std::string pem = CK_TRY(sign(host, request_pem));
  CK_TRY(remember_peers(folder_, {{host, address}}));
  return pem;
}

Result<std::string> Authority::renew(const std::string& host,
                                     const std::string& request_pem) const {
  UniqueFd lock = CK_TRY(lock_folder(folder_));
  return sign(host, request_pem);
}

Status Authority::revoke(const std::string& host) const {
  UniqueFd lock = CK_TRY(lock_folder(folder_));
  if (host == settings_.cluster->host) {
    return make_error(ErrorKind::kRefused,
                      "host " + host + " has the cluster's CA, and cannot be revoked",
                      "ckd init in another folder makes a new cluster");
  }
  std::vector<Issued> good = CK_TRY(good_certificates(host));
  if (good.empty()) {
    return make_error(ErrorKind::kNotFound, "no host " + host + " has a certificate that is good");
  }
  std::string path = folder_ + "/" + kRevocationsFile;
  RevocationList before =
      CK_TRY(RevocationList::from_pem(CK_TRY(read_trusted(path)), member_.authority));
  std::vector<std::string> serials = before.serials();
  for (const Issued& issued : good) serials.push_back(issued.serial);
  RevocationList list =
      CK_TRY(RevocationList::sign(member_.authority, key_, serials, before.number() + 1));
  CK_TRY(job::replace_file(path, CK_TRY(list.to_pem())));
  return forget_peer(folder_, host);
}

}  // namespace ck::cluster
