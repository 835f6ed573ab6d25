#include "driver/terminal/call_server.h"

#include <sys/socket.h>
#include <sys/time.h>

#include "runtime/job/host.h"
#include "runtime/job/keeper_wire.h"

namespace ck::driver::terminal {

namespace keeper = job::keeper;

namespace {

constexpr timeval kPatience{5, 0};

}  // namespace

std::string server_socket(std::uint64_t pid_namespace, RealPid keeper) {
  return std::string(1, '\0') + "ckrun-terminal-server-" + std::to_string(pid_namespace) + "-" +
         to_string(keeper);
}

Status give_to_server(RealPid keeper, const std::string& job_name, const UniqueFd& stream) {
  const std::string name = server_socket(CK_TRY(job::this_host()).pid_namespace, keeper);
  const UniqueFd socket = CK_TRY(keeper::connect(name, "a server of the job's terminal"));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  const int fd = stream.get();
  CK_TRY(keeper::send(socket.get(), keeper::Type::kCaller, 0, job_name, std::span(&fd, 1)));
  CK_TRY(keeper::receive(socket.get()));  // kNotFound if it is not taken
  return {};
}

}  // namespace ck::driver::terminal
