#include "driver/client/daemon_caller.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "driver/client/client.h"
#include "driver/protocol/frame.h"

namespace ck::client {
namespace {

using driver::terminal::CallAnswer;
using driver::terminal::Place;

class DaemonCaller : public driver::terminal::Caller {
 public:
  Status begin(const Place& place) override {
    give_up();
    protocol::wire::ControlRequest request;
    request.set_version(protocol::kControlVersion);
    request.mutable_terminal()->set_job(place.job);
    request.mutable_terminal()->set_host(place.host);
    request.mutable_terminal()->set_server(place.server);
    socket_ = CK_TRY(connect_to_daemon());
    const std::string frame = CK_TRY(protocol::make_frame(request));
    // A few bytes, into an empty socket.
    const ssize_t count = ::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
    if (count != static_cast<ssize_t>(frame.size())) return sys_error("ask ckd");
    return {};
  }

  int fd() const override { return socket_.get(); }

  // What comes after the reply is not for us: no byte more than that is read.
  Result<std::optional<CallAnswer>> answer() override {
    protocol::FrameHeader header;
    if (!CK_TRY(fill(header.size()))) return std::optional<CallAnswer>();
    std::memcpy(header.data(), in_.data(), header.size());
    const std::size_t length = CK_TRY(protocol::frame_length(header, protocol::kLongestMessage));
    if (!CK_TRY(fill(header.size() + length))) return std::optional<CallAnswer>();
    auto reply = CK_TRY(protocol::parse_control_reply(in_.substr(header.size())));
    if (reply.has_error()) return protocol::error_of(reply.error());
    CallAnswer answer;
    if (reply.has_terminal()) {
      answer.host = reply.terminal().host();
      answer.connection = std::move(socket_);
    } else if (reply.has_follow()) {
      answer.host = reply.follow().host();
      if (reply.follow().known()) answer.status = reply.follow().exit_status();
    } else {
      return make_error(ErrorKind::kRefused, "ckd answered something else than was asked",
                        "is it of the same version as this command?");
    }
    give_up();
    return std::optional(std::move(answer));
  }

  void give_up() override {
    socket_.reset();
    in_.clear();
  }

 private:
  Result<bool> fill(std::size_t size) {
    while (in_.size() < size) {
      char part[1024];
      const ssize_t count =
          ::recv(socket_.get(), part, std::min(sizeof part, size - in_.size()), MSG_DONTWAIT);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return false;
      if (count < 0) return sys_error("ask ckd");
      if (count == 0)
        return make_error(ErrorKind::kTryAgain, "ckd closed the connection without an answer");
      in_.append(part, static_cast<std::size_t>(count));
    }
    return true;
  }

  UniqueFd socket_;
  std::string in_;
};

}  // namespace

std::unique_ptr<driver::terminal::Caller> make_daemon_caller() {
  return std::make_unique<DaemonCaller>();
}

}  // namespace ck::client
