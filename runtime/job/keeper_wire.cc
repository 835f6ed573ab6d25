#include "runtime/job/keeper_wire.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>

#include "runtime/job/control_frame.h"
#include "runtime/job/host.h"
#include "runtime/proc/pass_descriptor.h"

namespace ck::job::keeper {
namespace {

constexpr int kBacklog = 16;
constexpr timeval kPatience{10, 0};

struct Header {
  Type type;
  std::int32_t value;
};

}  // namespace

std::string socket_name(std::uint64_t pid_namespace, RealPid keeper) {
  return std::string(1, '\0') + "ckrun-terminal-" + std::to_string(pid_namespace) + "-" +
         to_string(keeper);
}

Result<UniqueFd> listen(const std::string& name) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("create a socket");
  socklen_t size = 0;
  const sockaddr_un address = socket_address(name, &size);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(fd.get(), kBacklog) != 0)
    return sys_error("listen on the terminal's socket " + name.substr(1));
  return fd;
}

bool is_friend(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

Result<UniqueFd> connect(const std::string& name, const std::string& what) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return sys_error("create a socket");
  socklen_t size = 0;
  const sockaddr_un address = socket_address(name, &size);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT)
      return make_error(ErrorKind::kNotFound, "there is no longer " + what);
    return sys_error("connect to " + what);
  }
  if (::geteuid() != 0 && !is_friend(fd.get()))
    return make_error(ErrorKind::kPermission, "there is " + what + " of another user");
  return fd;
}

Result<UniqueFd> connect(RealPid keeper) {
  return connect(socket_name(CK_TRY(this_host()).pid_namespace, keeper),
                 "a job's terminal at process " + to_string(keeper));
}

Status send(int socket, Type type, std::int32_t value, const std::string& text,
            std::span<const int> fds) {
  const Header header{type, value};
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += text.substr(0, kLongestText);
  const ssize_t count = proc::send_with_descriptors(socket, bytes, fds);
  if (count != static_cast<ssize_t>(bytes.size()))
    return sys_error("send to the terminal's keeper");
  return {};
}

Result<Message> receive(int socket) {
  proc::ReceivedMessage raw = CK_TRY(proc::receive_message(socket));
  if (raw.bytes.size() < sizeof(Header))
    return make_error(ErrorKind::kNotFound, "the terminal's keeper, or who uses it, has gone");
  Header header{};
  std::memcpy(&header, raw.bytes.data(), sizeof header);
  return Message{header.type, header.value, raw.bytes.substr(sizeof header), std::move(raw.fds)};
}

Result<UniqueFd> as_file(const std::string& bytes) {
  UniqueFd file(::memfd_create("typed", MFD_CLOEXEC));
  if (!file) return sys_error("make a file in memory");
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (count <= 0) return sys_error("write a file in memory");
    done += static_cast<std::size_t>(count);
  }
  return file;
}

Result<std::string> from_file(int fd) {
  struct stat about {};
  if (::fstat(fd, &about) != 0) return sys_error("examine a file in memory");
  std::string bytes(static_cast<std::size_t>(about.st_size), '\0');
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count =
        ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count <= 0) return sys_error("read a file in memory");
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<Message> ask(RealPid keeper, Type question, std::int32_t value) {
  const UniqueFd socket = CK_TRY(connect(keeper));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  CK_TRY(send(socket.get(), question, value));
  return receive(socket.get());
}

}  // namespace ck::job::keeper
