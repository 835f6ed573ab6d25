// The authority of a cluster, in a folder of the test: who gets a certificate, and who does not.
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>

#include "driver/cluster/authority.h"
#include "driver/cluster/invitations.h"
#include "driver/cluster/peers.h"
#include "driver/cluster/secrets.h"
#include "temporary_folder.h"

namespace {

using namespace ck;
using namespace ck::cluster;
using std::chrono::hours;
using std::chrono::seconds;

ClusterSettings here() {
  ClusterSettings cluster;
  cluster.host = "a";
  cluster.address = "10.0.0.1:7381";
  cluster.listen = "0.0.0.0:7381";
  return cluster;
}

struct Fixture {
  Fixture() : folder(temporary.file("ckrun")) { BOOST_REQUIRE(make_cluster(folder, here()).ok()); }
  Authority authority() const { return *Authority::open(folder); }
  std::string read(const char* name) const { return *read_trusted(folder + "/" + name); }

  test::TemporaryFolder temporary;
  std::string folder;
};

BOOST_FIXTURE_TEST_SUITE(cluster_certificates, Fixture)

BOOST_AUTO_TEST_CASE(a_new_cluster_has_one_member) {
  Member member = *load_member(folder);
  BOOST_TEST(member.name.host == "a");
  BOOST_TEST(member.name.cluster == read_settings(folder)->cluster->id);
  BOOST_TEST(check_dates(member.certificate, "it").ok());
  BOOST_TEST(!wants_renewal(member.certificate));
  BOOST_TEST(member.revoked.number() == 1u);
  for (const char* name : {kAuthorityKeyFile, kMemberKeyFile, kMemberFile, kSettingsFile}) {
    struct stat info;
    BOOST_REQUIRE(stat((folder + "/" + name).c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 0777) == 0600u, name);
  }
  BOOST_TEST(!make_cluster(folder, here()).ok());  // not a second time
}

BOOST_AUTO_TEST_CASE(a_host_gets_a_certificate_and_keeps_others_out) {
  Key key = *Key::make();
  std::string request = *make_request(key);
  std::string pem = *authority().admit("b", "10.0.0.2:7381", request);
  Certificate certificate = *Certificate::from_pem(pem);
  Member member = *load_member(folder);
  BOOST_TEST(check_member(certificate, member.authority, key.get())->host == "b");
  BOOST_TEST(!check_member(certificate, member.authority, Key::make()->get()).ok());
  BOOST_TEST(read_peers(folder)->at(0).address == "10.0.0.2:7381");
  Result<std::string> again = authority().admit("b", "10.0.0.9:7381", request);
  BOOST_REQUIRE(!again.ok());
  BOOST_TEST(again.error().message == "the cluster has a host b already");
  BOOST_TEST(!authority().admit("a", "10.0.0.9:7381", request).ok());
  BOOST_TEST(!authority().admit("c,URI:ckd://x/y", "10.0.0.9:7381", request).ok());
}

BOOST_AUTO_TEST_CASE(a_request_must_be_signed_by_its_key) {
  std::string request = *make_request(*Key::make());
  std::size_t middle = request.size() / 2;
  request[middle] = request[middle] == 'A' ? 'B' : 'A';
  BOOST_TEST(!authority().admit("b", "10.0.0.2:7381", request).ok());
  BOOST_TEST(!authority().admit("b", "10.0.0.2:7381", "").ok());
}

BOOST_AUTO_TEST_CASE(revoked_is_every_certificate_of_the_host) {
  std::string request = *make_request(*Key::make());
  std::string first = *authority().admit("b", "10.0.0.2:7381", request);
  std::string second = *authority().renew("b", request);
  BOOST_REQUIRE(authority().revoke("b").ok());
  Member member = *load_member(folder);
  BOOST_TEST(member.revoked.number() == 2u);
  auto serials = member.revoked.serials();
  for (const std::string& pem : {first, second}) {
    std::string serial = Certificate::from_pem(pem)->serial();
    BOOST_TEST((std::find(serials.begin(), serials.end(), serial) != serials.end()));
  }
  BOOST_TEST(read_peers(folder)->empty());
  BOOST_TEST((authority().revoke("b").error().kind == ErrorKind::kNotFound));
  BOOST_TEST(!authority().revoke("a").ok());
  BOOST_TEST(authority().admit("b", "10.0.0.3:7381", request).ok());  // it may come back
}

BOOST_AUTO_TEST_CASE(revocations_go_forward_only_and_are_signed) {
  std::string before = read(kRevocationsFile);
  BOOST_REQUIRE(authority().admit("b", "10.0.0.2:7381", *make_request(*Key::make())).ok());
  BOOST_REQUIRE(authority().revoke("b").ok());
  Member member = *load_member(folder);
  BOOST_TEST(*save_revocations(folder, before, member.authority) == false);
  BOOST_TEST(load_member(folder)->revoked.number() == 2u);
  Key other = *Key::make();
  Certificate foreign =
      *make_authority_certificate(other, member.name.cluster, valid_for(hours(1)));
  std::string forged = *RevocationList::sign(foreign, other, {}, 99)->to_pem();
  BOOST_TEST(!save_revocations(folder, forged, member.authority).ok());
}

BOOST_AUTO_TEST_CASE(a_foreign_certificate_is_not_ours) {
  Member member = *load_member(folder);
  Key other = *Key::make(), key = *Key::make();
  Certificate foreign =
      *make_authority_certificate(other, member.name.cluster, valid_for(hours(1)));
  Certificate forged =
      *sign_member(foreign, other, key.get(), {member.name.cluster, "b"}, valid_for(hours(1)));
  BOOST_TEST(!check_member(forged, member.authority, key.get()).ok());
}

BOOST_AUTO_TEST_CASE(dates_are_looked_at) {
  Member member = *load_member(folder);
  Key key = *Key::from_pem(*read_secret(folder + "/" + kAuthorityKeyFile));
  auto certificate = [&](seconds from, seconds to) {
    Time now = std::chrono::time_point_cast<seconds>(std::chrono::system_clock::now());
    return *sign_member(member.authority, key, member.key.get(), member.name,
                        {now + from, now + to});
  };
  Status late = check_dates(certificate(-hours(2), -hours(1)), "it");
  BOOST_REQUIRE(!late.ok());
  BOOST_TEST(late.error().message.starts_with("it has expired on "));
  BOOST_TEST(!check_dates(certificate(hours(1), hours(2)), "it").ok());
  BOOST_TEST(wants_renewal(certificate(-hours(5), hours(2))));
  BOOST_TEST(!wants_renewal(certificate(-hours(3), hours(3))));
}

BOOST_AUTO_TEST_CASE(an_invitation_is_used_once) {
  Token token = *authority().invite(hours(1));
  BOOST_TEST(token.address == "10.0.0.1:7381");
  BOOST_TEST(token.authority == fingerprint(load_member(folder)->authority.get()));
  std::string key = *key_fingerprint(Key::from_seed(token.seed)->get());
  BOOST_TEST(find_invitation(folder, key).ok());
  BOOST_TEST(use_invitation(folder, key).ok());
  BOOST_TEST(use_invitation(folder, key).error().message ==
             "the invitation is unknown or was used");
  BOOST_TEST(!find_invitation(folder, std::string(64, '0')).ok());
  token = *authority().invite(-seconds(1));
  key = *key_fingerprint(Key::from_seed(token.seed)->get());
  BOOST_TEST(find_invitation(folder, key).error().message == "the invitation has expired");
}

BOOST_AUTO_TEST_CASE(files_that_others_can_touch_are_refused) {
  std::string key = folder + "/" + kMemberKeyFile;
  BOOST_REQUIRE(chmod(key.c_str(), 0640) == 0);
  BOOST_TEST((load_member(folder).error().kind == ErrorKind::kPermission));
  BOOST_REQUIRE(chmod(key.c_str(), 0600) == 0);
  BOOST_REQUIRE(chmod((folder + "/" + kSettingsFile).c_str(), 0666) == 0);
  BOOST_TEST((read_settings(folder).error().kind == ErrorKind::kPermission));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
