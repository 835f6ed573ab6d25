#include "driver/cluster/invitations.h"

#include <unistd.h>

#include <charconv>

#include "driver/cluster/secrets.h"
#include "runtime/job/names.h"
#include "runtime/job/small_file.h"

namespace ck::cluster {
namespace {

std::string path_of(const std::string& folder, const std::string& key) {
  return folder + "/invitations/" + key;
}

Error not_open() {
  return make_error(ErrorKind::kPermission, "the invitation is unknown or was used");
}

}  // namespace

Status save_invitation(const std::string& folder, const std::string& key, Time end) {
  CK_TRY(job::make_folders(folder + "/invitations"));
  return job::replace_file(path_of(folder, key),
                           std::to_string(end.time_since_epoch().count()) + "\n");
}

Result<Time> find_invitation(const std::string& folder, const std::string& key) {
  Result<std::string> text = read_secret(path_of(folder, key));
  if (!text.ok()) return text.error().errnum == ENOENT ? not_open() : std::move(text).error();
  std::int64_t end = 0;
  std::from_chars(text->data(), text->data() + text->size(), end);
  if (std::chrono::system_clock::now() < Time(std::chrono::seconds(end))) {
    return Time(std::chrono::seconds(end));
  }
  Error expired = make_error(ErrorKind::kPermission, "the invitation has expired");
  expired.errnum = ETIMEDOUT;
  return expired;
}

Result<Time> use_invitation(const std::string& folder, const std::string& key) {
  Time end = CK_TRY(find_invitation(folder, key));
  if (unlink(path_of(folder, key).c_str()) == 0) return end;
  return errno == ENOENT ? not_open() : sys_error("remove the invitation");
}

}  // namespace ck::cluster
