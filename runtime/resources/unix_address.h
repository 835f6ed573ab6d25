// Names of UNIX sockets. A name is here what follows the family in a sockaddr_un: nothing, a NUL
// and an abstract name, or a path, of which the kernel may count the NUL at its end. Engine only.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>

#include "runtime/proc/mailbox.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

struct UnixAddress {
  sockaddr_un address{};
  socklen_t length = 0;
  explicit UnixAddress(const std::string& name);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

std::string name_of(const sockaddr_un& address, socklen_t length);
std::string peer_name(int fd);
inline bool is_path(const std::string& name) {
  return !name.empty() && name[0] != '\0';
}
// The path without a NUL; of an abstract name "@…".
std::string readable_name(const std::string& name);

// What is known of the file that a bound socket's path leads to. A relative path is looked for in
// the folders where the job's processes are.
SocketState::File find_file(const CaptureSession& session, const OpenFile& file,
                            const std::string& name, std::uint32_t device, ino_t inode);

// bind(2) in the process where the session is. The job's own file from before is replaced; one that
// somebody serves is an error.
Status bind_there(RestoreSession& session, int fd, const SocketState& state);
// After that: nothing stays of a name whose file was gone.
Status unlink_unless_kept(RestoreSession& session, const SocketState& state);
// connect(2) there to the socket that has the name, as bind_there() made it.
Status connect_there(RestoreSession& session, int fd, const SocketState& to);

// Where the engine reaches a socket that bind_there() made, whatever its folder.
class Reach {
 public:
  static Result<Reach> find(const SocketState& state);
  const UnixAddress& address() const { return address_; }

 private:
  Reach(UniqueFd folder, const std::string& name) : folder_(std::move(folder)), address_(name) {}
  UniqueFd folder_;
  UnixAddress address_;
};

}  // namespace ck::resources
