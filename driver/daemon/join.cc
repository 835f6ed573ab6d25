#include "driver/daemon/join.h"

#include <sys/stat.h>

#include <boost/asio/io_context.hpp>

#include "driver/cluster/secrets.h"
#include "driver/daemon/news.h"
#include "driver/daemon/peer_link.h"
#include "driver/daemon/spawn.h"
#include "driver/protocol/check.h"
#include "runtime/job/names.h"
#include "runtime/job/small_file.h"

namespace ck::daemon {
namespace {

using protocol::wire::Admission;
using protocol::wire::PeerMessage;

constexpr milliseconds kPatience{10000};

Task<Result<Admission>> ask(const cluster::Token& token, const cluster::ClusterSettings& own,
                            std::string request_pem) {
  auto target = std::make_shared<PeerLink::Target>();
  auto check = std::make_shared<cluster::InviterCheck>(token);
  CK_CO_TRY(target->context, cluster::guest_context(token));
  target->address = token.address;
  target->own_name = own.host;
  target->patience = kPatience;
  target->verify = [check](bool good, asio::ssl::verify_context& context) {
    return check->verify(good, context);
  };
  target->accept = [check](SSL* connection) { return check->check(connection); };
  CK_CO_TRY(PeerLink link, co_await PeerLink::connect(target));
  PeerMessage question;
  question.mutable_join_request()->set_host(own.host);
  question.mutable_join_request()->set_address(own.address);
  question.mutable_join_request()->set_request_pem(request_pem);
  CK_CO_TRY(PeerMessage answer, co_await link.ask(std::move(question), PeerMessage::kAdmission));
  co_return answer.admission();
}

Result<Admission> ask_and_wait(const cluster::Token& token, const cluster::ClusterSettings& own,
                               const std::string& request_pem) {
  asio::io_context io(1);
  Result<Admission> admission = make_error(ErrorKind::kBug, "nobody was asked");
  auto run = [&]() -> Task<void> { admission = co_await ask(token, own, request_pem); };
  spawn(io.get_executor(), run());
  io.run();
  return admission;
}

Status check_free(const std::string& folder, bool force) {
  struct stat info;
  std::string path = folder + "/" + cluster::kMemberKeyFile;
  if (stat(path.c_str(), &info) != 0) return {};
  if (stat((folder + "/" + cluster::kAuthorityKeyFile).c_str(), &info) == 0) {
    return make_error(ErrorKind::kRefused, "this host has the CA of a cluster",
                      "move " + folder + " away, if that cluster shall not be used any more");
  }
  if (force) return {};
  return make_error(ErrorKind::kRefused, path + " exists: this host belongs to a cluster",
                    "--force leaves it");
}

// The CA must be the one whose fingerprint the token has; then its signatures are good.
Result<cluster::MemberName> check_admission(const cluster::Token& token, const cluster::Key& key,
                                            const std::string& host, const Admission& admission) {
  cluster::Certificate authority =
      CK_TRY(cluster::Certificate::from_pem(admission.news().authority_pem()));
  if (cluster::fingerprint(authority.get()) != token.authority) {
    return make_error(ErrorKind::kPermission, "the CA is not that of the invitation");
  }
  cluster::Certificate certificate =
      CK_TRY(cluster::Certificate::from_pem(admission.certificate_pem()));
  cluster::MemberName name = CK_TRY(cluster::check_member(certificate, authority, key.get()));
  if (name.host == host) return name;
  return make_error(ErrorKind::kPermission, "the certificate is of host " + name.host);
}

// ckd.toml last: with it the host is a member. One of the same cluster stays as it is.
Status write_settings(const std::string& folder, const cluster::ClusterSettings& cluster) {
  Result<cluster::Settings> before = cluster::read_settings(folder);
  bool same = before.ok() && before->cluster && before->cluster->id == cluster.id &&
              before->cluster->host == cluster.host;
  if (same) return {};
  return job::replace_file(folder + "/" + cluster::kSettingsFile, cluster::settings_text(cluster));
}

Status write_membership(const std::string& folder, const cluster::Key& key,
                        const cluster::ClusterSettings& cluster, const Admission& admission) {
  auto write = [&folder](const char* name, const std::string& content) {
    return job::replace_file(folder + "/" + name, content);
  };
  CK_TRY(write(cluster::kMemberKeyFile, CK_TRY(key.to_pem())));
  CK_TRY(write(cluster::kMemberFile, admission.certificate_pem()));
  CK_TRY(write(cluster::kAuthorityFile, admission.news().authority_pem()));
  cluster::Certificate authority =
      CK_TRY(cluster::Certificate::from_pem(admission.news().authority_pem()));
  CK_TRY(take_news(folder, cluster.host, authority, admission.news()));
  return write_settings(folder, cluster);
}

}  // namespace

Status join_cluster(const std::string& folder, const cluster::Token& token,
                    cluster::ClusterSettings cluster, bool force) {
  CK_TRY(protocol::check_host_name(cluster.host));
  CK_TRY(protocol::check_address(cluster.address));
  CK_TRY(protocol::check_address(cluster.listen));
  CK_TRY(check_free(folder, force));
  CK_TRY(job::make_folders(folder));
  cluster::Key key = CK_TRY(cluster::Key::make());
  std::string request = CK_TRY(cluster::make_request(key));
  Result<Admission> admission = ask_and_wait(token, cluster, request);
  if (!admission.ok()) {
    Error error =
        std::move(admission).error().within("host " + token.host + " did not admit this host");
    if (error.kind == ErrorKind::kPermission && error.hint.empty()) {
      error.hint = "an invitation is good for one host and for a time; ckd invite makes another";
    }
    return error;
  }
  cluster::MemberName name = CK_TRY(check_admission(token, key, cluster.host, *admission));
  cluster.id = name.cluster;
  cluster.authority = token.host;
  return write_membership(folder, key, cluster, *admission);
}

}  // namespace ck::daemon
