#include "runtime/resources/unix_address.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

namespace ck::resources {
namespace {

constexpr std::size_t kPrefix = offsetof(sockaddr_un, sun_path);

std::string path_of(const std::string& name) {
  return name.substr(0, name.find('\0'));
}

std::string full_path(const SocketState& state) {
  std::string path = path_of(state.name());
  return path.starts_with('/') ? path : state.file().folder() + "/" + path;
}

// The kernel tells 32 bits of the device and of the inode number.
bool is_file(const struct stat& status, std::uint32_t device, ino_t inode) {
  return (major(status.st_dev) << 20 | minor(status.st_dev)) == device &&
         static_cast<std::uint32_t>(status.st_ino) == static_cast<std::uint32_t>(inode);
}

void note_file(const struct stat& status, SocketState::File& file) {
  file.set_exists(true);
  file.set_mode(status.st_mode & 07777);
  file.set_owner(status.st_uid);
  file.set_group(status.st_gid);
  file.set_device(status.st_dev);
  file.set_inode(status.st_ino);
}

Error occupied(const std::string& path, const char* why) {
  return make_error(ErrorKind::kRefused,
                    "a socket of the job was bound to " + path + ", which " + why,
                    "remove it, or end the program that uses it");
}

// Whether a living socket is behind the file: connecting a datagram socket has no effect on it.
Result<bool> is_served(const SocketState& state) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const Reach reach = CK_TRY(Reach::find(state));
  if (::connect(probe.get(), reach.address().get(), reach.address().length) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;
}

Status make_room(const SocketState& state) {
  const std::string path = full_path(state);
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0)
    return errno == ENOENT ? Status() : sys_error("look at " + path);
  if (!S_ISSOCK(status.st_mode)) return occupied(path, "is another file now");
  if (CK_TRY(is_served(state))) return occupied(path, "another program serves now");
  if (::unlink(path.c_str()) != 0) return sys_error("remove the old socket " + path);
  return {};
}

Status enter_folder(RestoreSession& session, const SocketState& state) {
  if (!is_path(state.name()) || state.name()[0] == '/') return {};
  const std::string& folder = state.file().folder();
  // The working directory is set later.
  CK_TRY(session.box().call("enter " + folder, SYS_chdir, session.box().put_string(folder)));
  return {};
}

proc::Mailbox::Address put_address(proc::Mailbox& box, const UnixAddress& address) {
  return box.put(std::as_bytes(std::span(&address.address, 1)).first(address.length));
}

// A file's owner can be kept where the job's user may give files away.
Status set_file(RestoreSession& session, const SocketState& state) {
  const SocketState::File& file = state.file();
  const std::string path = path_of(state.name());
  proc::Mailbox& box = session.box();
  CK_TRY(box.call("set the mode of " + path, SYS_fchmodat, AT_FDCWD, box.put_string(path),
                  file.mode()));
  struct stat status {};
  if (::lstat(full_path(state).c_str(), &status) != 0) return sys_error("look at " + path);
  if (status.st_uid == file.owner() && status.st_gid == file.group()) return {};
  if (::lchown(full_path(state).c_str(), file.owner(), file.group()) != 0)
    session.warn("the socket " + full_path(state) + " has another owner or group now");
  return {};
}

}  // namespace

UnixAddress::UnixAddress(const std::string& name) {
  address.sun_family = AF_UNIX;
  const std::size_t bytes = std::min(name.size(), sizeof address.sun_path);
  std::memcpy(address.sun_path, name.data(), bytes);
  length = static_cast<socklen_t>(kPrefix + bytes);
}

std::string name_of(const sockaddr_un& address, socklen_t length) {
  if (length <= kPrefix) return {};
  return std::string(address.sun_path, length - kPrefix);
}

std::string peer_name(int fd) {
  // The kernel counts the NUL after a path of 108 bytes.
  struct {
    sockaddr_un address;
    char more[8];
  } space{};
  socklen_t length = sizeof space;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&space), &length) != 0) return {};
  return name_of(space.address, std::min<socklen_t>(length, sizeof space.address));
}

std::string readable_name(const std::string& name) {
  return is_path(name) || name.empty() ? path_of(name) : "@" + name.substr(1);
}

SocketState::File find_file(const CaptureSession& session, const OpenFile& file,
                            const std::string& name, std::uint32_t device, ino_t inode) {
  SocketState::File found;
  const std::string path = path_of(name);
  struct stat status {};
  std::vector<std::size_t> processes{file.process == OpenFile::kNobody ? 0 : file.process};
  for (std::size_t i = 0; i < session.processes.size(); ++i) processes.push_back(i);
  for (std::size_t process : processes) {
    const std::string cwd = "/proc/" + to_string(session.processes[process].pid) + "/cwd";
    std::error_code ignored;
    const std::string folder = std::filesystem::read_symlink(cwd, ignored).string();
    if (found.folder().empty()) found.set_folder(folder);
    const std::string place = path.starts_with('/') ? path : cwd + "/" + path;
    if (::lstat(place.c_str(), &status) != 0 || !is_file(status, device, inode)) continue;
    found.set_folder(folder);
    note_file(status, found);
    break;
  }
  return found;
}

Status bind_there(RestoreSession& session, int fd, const SocketState& state) {
  const UnixAddress address(state.name());
  if (is_path(state.name())) CK_TRY(make_room(state));
  CK_TRY(enter_folder(session, state));
  proc::Mailbox& box = session.box();
  const auto there = put_address(box, address);
  CK_TRY(box.call("bind a socket to " + readable_name(state.name()), SYS_bind, fd, there,
                  address.length));
  return state.file().exists() ? set_file(session, state) : Status();
}

Status unlink_unless_kept(RestoreSession& session, const SocketState& state) {
  if (!is_path(state.name()) || state.file().exists()) return {};
  CK_TRY(enter_folder(session, state));
  const std::string path = path_of(state.name());
  const auto there = session.box().put_string(path);
  CK_TRY(session.box().call("remove " + path, SYS_unlink, there));
  return {};
}

Status connect_there(RestoreSession& session, int fd, const SocketState& to) {
  CK_TRY(enter_folder(session, to));
  const UnixAddress address(to.name());
  proc::Mailbox& box = session.box();
  const auto there = put_address(box, address);
  CK_TRY(box.call("connect a socket to " + readable_name(to.name()), SYS_connect, fd, there,
                  address.length));
  return {};
}

Result<Reach> Reach::find(const SocketState& state) {
  if (!is_path(state.name())) return Reach(UniqueFd(), state.name());
  const std::filesystem::path path = full_path(state);
  if (path.string().size() < sizeof(sockaddr_un::sun_path)) return Reach(UniqueFd(), path.string());
  UniqueFd folder(::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return sys_error("open " + path.parent_path().string());
  std::string name =
      "/proc/self/fd/" + std::to_string(folder.get()) + "/" + path.filename().string();
  return Reach(std::move(folder), name);
}

}  // namespace ck::resources
