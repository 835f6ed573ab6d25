#include "runtime/job/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/job/stop_with_program.h"

namespace ck::job {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBetweenWakeUps{300};

// A supervisor answers its own user and root (control_server.cc); to others it hangs up, as if it
// had ended.
Status check_server(int fd, RealPid supervisor) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return sys_error("ask whose the control socket is");
  }
  if (geteuid() == 0 || peer.uid == geteuid()) return {};
  return make_error(ErrorKind::kPermission,
                    "supervisor " + to_string(supervisor) + " belongs to another user (uid " +
                        std::to_string(peer.uid) + ")",
                    "run this as that user");
}

// poll(2) for `events` until the deadline; false at the deadline.
Result<bool> wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() < 0) left = std::chrono::milliseconds(0);
    pollfd poll_fd{fd, events, 0};
    int ready = poll(&poll_fd, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 1 << 30)));
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) return sys_error("wait for the supervisor");
  }
}

}  // namespace

Result<ControlClient> ControlClient::connect(std::uint64_t pid_namespace, RealPid supervisor) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return sys_error("create a socket");
  socklen_t size = 0;
  sockaddr_un address = socket_address(socket_name(pid_namespace, supervisor), &size);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0) {
    if (errno == ECONNREFUSED || errno == ENOENT) {
      return make_error(ErrorKind::kNotFound,
                        "process " + to_string(supervisor) + " is not a job's supervisor");
    }
    return sys_error("connect to supervisor " + to_string(supervisor));
  }
  CK_TRY(check_server(fd.get(), supervisor));
  return ControlClient(std::move(fd), supervisor);
}

Status ControlClient::send(const std::string& frame) {
  std::size_t done = 0;
  auto deadline = Clock::now() + std::chrono::seconds(10);
  while (done < frame.size()) {
    ssize_t count = ::send(fd_.get(), frame.data() + done, frame.size() - done, MSG_NOSIGNAL);
    if (count >= 0) {
      done += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      if (!CK_TRY(wait_for(fd_.get(), POLLOUT, deadline))) {
        return make_error(ErrorKind::kTryAgain,
                          "supervisor " + to_string(supervisor_) + " does not take the request");
      }
    } else if (errno != EINTR) {
      return sys_error("send the request to supervisor " + to_string(supervisor_));
    }
  }
  return {};
}

// A supervisor that is stopped may have stopped just after it was woken: it is woken again.
Result<bool> ControlClient::wait_for_reply(Clock::time_point deadline) {
  for (;;) {
    auto look = std::min(deadline, Clock::now() + kBetweenWakeUps);
    if (CK_TRY(wait_for(fd_.get(), POLLIN, look))) return true;
    if (Clock::now() >= deadline) return false;
    wake_stopped_supervisor(supervisor_);
  }
}

Status ControlClient::receive(char* into, std::size_t size, Clock::time_point deadline) {
  std::size_t done = 0;
  while (done < size) {
    ssize_t count = recv(fd_.get(), into + done, size - done, 0);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0 || errno == ECONNRESET) {
      return make_error(ErrorKind::kTryAgain,
                        "supervisor " + to_string(supervisor_) + " ended before it answered",
                        "ckpt ls shows what has become of the job");
    } else if (errno == EAGAIN) {
      if (!CK_TRY(wait_for_reply(deadline))) {
        return make_error(ErrorKind::kTryAgain,
                          "supervisor " + to_string(supervisor_) + " does not answer",
                          "is it stopped? kill -CONT " + to_string(supervisor_));
      }
    } else if (errno != EINTR) {
      return sys_error("receive from supervisor " + to_string(supervisor_));
    }
  }
  return {};
}

Result<wire::Reply> ControlClient::receive_reply(std::chrono::milliseconds patience) {
  auto deadline = Clock::now() + patience;
  FrameHeader header;
  CK_TRY(receive(reinterpret_cast<char*>(header.data()), header.size(), deadline));
  std::string body(CK_TRY(frame_length(header)), '\0');
  CK_TRY(receive(body.data(), body.size(), deadline));
  wire::Reply reply;
  if (!reply.ParseFromString(body) || reply.kind_case() == wire::Reply::KIND_NOT_SET) {
    return make_error(ErrorKind::kRefused,
                      "supervisor " + to_string(supervisor_) + " sent a damaged reply");
  }
  return reply;
}

Result<wire::Reply> ControlClient::ask(wire::Request request, std::chrono::milliseconds patience,
                                       const OnProgress& on_progress) {
  request.set_version(kProtocolVersion);
  wake_stopped_supervisor(supervisor_);
  CK_TRY(send(make_frame(request.SerializeAsString())));
  for (;;) {
    wire::Reply reply = CK_TRY(receive_reply(patience));
    if (reply.has_error()) return error_of(reply.error());
    if (!reply.has_progress()) return reply;
    if (on_progress) on_progress(reply.progress());
  }
}

Result<wire::StatusReply> ControlClient::status() {
  wire::Request request;
  request.mutable_status();
  wire::Reply reply = CK_TRY(ask(std::move(request), std::chrono::seconds(5)));
  if (!reply.has_status()) {
    return make_error(ErrorKind::kRefused, "supervisor " + to_string(supervisor_) +
                                               " answered something else than was asked");
  }
  return std::move(*reply.mutable_status());
}

bool ControlClient::wait_for_end(std::chrono::milliseconds patience) {
  char ignored;
  auto deadline = Clock::now() + patience;
  for (;;) {
    Result<bool> ready = wait_for(fd_.get(), POLLIN, deadline);
    if (!ready.ok() || !*ready) return false;
    ssize_t count = recv(fd_.get(), &ignored, 1, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return true;
  }
}

}  // namespace ck::job
