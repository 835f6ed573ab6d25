#include "driver/cluster/member.h"

#include <ctime>

#include "driver/cluster/secrets.h"
#include "runtime/job/small_file.h"

namespace ck::cluster {
namespace {

std::string format_time(Time time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

}  // namespace

Result<Member> load_member(const std::string& folder) {
  auto read = [&folder](const char* name) { return read_trusted(folder + "/" + name); };
  Key key = CK_TRY(Key::from_pem(CK_TRY(read_secret(folder + "/" + kMemberKeyFile))));
  Certificate authority = CK_TRY(Certificate::from_pem(CK_TRY(read(kAuthorityFile))));
  Certificate certificate = CK_TRY(Certificate::from_pem(CK_TRY(read(kMemberFile))));
  RevocationList revoked =
      CK_TRY(RevocationList::from_pem(CK_TRY(read(kRevocationsFile)), authority));
  Result<MemberName> name = check_member(certificate, authority, key.get());
  if (!name.ok()) return std::move(name).error().within(folder + "/" + kMemberFile);
  return Member{*std::move(name), std::move(key), std::move(certificate), std::move(authority),
                std::move(revoked)};
}

Status check_dates(const Certificate& certificate, const std::string& whose) {
  Validity validity = certificate.validity();
  auto now = std::chrono::system_clock::now();
  if (now > validity.to) {
    return make_error(ErrorKind::kPermission, whose + " has expired on " + format_time(validity.to),
                      "join the cluster again: ckd invite there, ckd join --force here");
  }
  if (now < validity.from) {
    return make_error(ErrorKind::kPermission,
                      whose + " is valid only from " + format_time(validity.from) + " on",
                      "set this host's clock");
  }
  return {};
}

bool wants_renewal(const Certificate& certificate) {
  Validity validity = certificate.validity();
  return std::chrono::system_clock::now() > validity.to - (validity.to - validity.from) / 3;
}

Result<bool> save_revocations(const std::string& folder, const std::string& pem,
                              const Certificate& authority) {
  RevocationList list = CK_TRY(RevocationList::from_pem(pem, authority));
  std::string path = folder + "/" + kRevocationsFile;
  Result<std::string> before = read_trusted(path);
  if (!before.ok() && before.error().errnum != ENOENT) return std::move(before).error();
  if (before.ok()) {
    Result<RevocationList> known = RevocationList::from_pem(*before, authority);
    if (known.ok() && known->number() >= list.number()) return false;
  }
  CK_TRY(job::replace_file(path, pem));
  return true;
}

}  // namespace ck::cluster
