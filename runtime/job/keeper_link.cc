#include "runtime/job/keeper_link.h"

#include "runtime/base/log.h"

namespace ck::job {

using keeper::Message;
using keeper::Type;

Result<KeeperLink> KeeperLink::connect(RealPid keeper, const std::string& job_name) {
  UniqueFd socket = CK_TRY(keeper::connect(keeper));
  CK_TRY(keeper::send(socket.get(), Type::kSupervise, 0, job_name));
  Message answer = CK_TRY(keeper::ask(keeper, Type::kMasterOnly));
  if (answer.fds.size() != 1)
    return make_error(ErrorKind::kSystem, "the keeper of the job's terminal has none");
  return KeeperLink(keeper, std::move(socket), std::move(answer.fds.front()));
}

Status KeeperLink::use(UniqueFd master) {
  const int fd = master.get();
  CK_TRY(keeper::send(socket_.get(), Type::kUse, 0, {}, std::span(&fd, 1)));
  master_ = std::move(master);
  return {};
}

void KeeperLink::say(Type type, int value, const std::string& text) const {
  Status said = keeper::send(socket_.get(), type, value, text);
  if (!said.ok()) spdlog::warn("{}", said.error().text());
}

Result<terminal::Input> KeeperLink::peek_input(bool freeze) const {
  Message answer = CK_TRY(keeper::ask(keeper_, Type::kPeek, freeze ? 1 : 0));
  if (answer.fds.size() != 1)
    return make_error(ErrorKind::kSystem, "the keeper cannot read what is typed at the terminal");
  return terminal::Input{std::move(answer.text), CK_TRY(keeper::from_file(answer.fds[0].get()))};
}

Status KeeperLink::type(const std::string& bytes) const {
  const UniqueFd file = CK_TRY(keeper::as_file(bytes));
  const int fd = file.get();
  return keeper::send(socket_.get(), Type::kType, 0, {}, std::span(&fd, 1));
}

}  // namespace ck::job
