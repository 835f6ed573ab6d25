#include "runtime/job/control_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "runtime/base/log.h"

namespace ck::job {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

constexpr int kMostSessions = 32;
constexpr int kBacklog = 64;  // while a restart is under way, nobody accepts

// The same user, or root.
bool may_ask(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == geteuid() || peer.uid == 0;
}

}  // namespace

ControlSession::ControlSession(Socket socket, Handler handler)
    : socket_(std::move(socket)), deadline_(socket_.get_executor()), handler_(std::move(handler)) {
  ++open_;
}

ControlSession::~ControlSession() {
  --open_;
  if (!outgoing_.empty()) --sending_;
}

void ControlSession::start(std::chrono::milliseconds patience) {
  auto self = shared_from_this();
  deadline_.expires_after(patience);
  deadline_.async_wait([self](error_code error) {
    if (!error) self->close();
  });
  asio::async_read(socket_, asio::buffer(header_), [self](error_code error, std::size_t) {
    if (error) return self->close();
    Result<std::uint32_t> length = frame_length(self->header_);
    if (!length.ok()) return self->send_last(failure_reply(length.error()));
    self->body_.resize(*length);
    self->read_body();
  });
}

void ControlSession::read_body() {
  auto self = shared_from_this();
  asio::async_read(socket_, asio::buffer(body_), [self](error_code error, std::size_t) {
    if (error) return self->close();
    self->handle_request();
  });
}

void ControlSession::handle_request() {
  deadline_.cancel();
  wire::Request request;
  if (!request.ParseFromString(body_)) {
    return send_last(failure_reply(make_error(ErrorKind::kRefused, "the request is damaged")));
  }
  if (request.version() != kProtocolVersion) {
    return send_last(failure_reply(
        make_error(ErrorKind::kRefused, "ckpt and the job's supervisor are of different versions",
                   "use the ckpt that was installed with the ckrun of this job")));
  }
  watch_for_hangup();
  handler_(shared_from_this(), std::move(request));
}

void ControlSession::watch_for_hangup() {
  auto self = shared_from_this();
  socket_.async_read_some(asio::buffer(&unexpected_, 1), [self](error_code, std::size_t) {
    self->client_gone_ = true;  // it closed, or talks out of turn
    self->close();
  });
}

void ControlSession::send_progress(const wire::ProgressReply& progress) {
  if (last_sent_ || !outgoing_.empty()) return;
  wire::Reply reply;
  *reply.mutable_progress() = progress;
  outgoing_.push_back(make_frame(reply.SerializeAsString()));
  ++sending_;
  write_next();
}

void ControlSession::send_last(const wire::Reply& reply) {
  if (last_sent_) return;
  last_sent_ = true;
  outgoing_.push_back(make_frame(reply.SerializeAsString()));
  if (outgoing_.size() > 1) return;
  ++sending_;
  write_next();
}

void ControlSession::sent_all() {
  outgoing_.clear();
  if (--sending_ == 0 && when_all_sent_) std::exchange(when_all_sent_, nullptr)();
}

void ControlSession::when_all_sent(std::function<void()> done) {
  if (sending_ == 0) return done();
  when_all_sent_ = std::move(done);
}

void ControlSession::write_next() {
  auto self = shared_from_this();
  asio::async_write(socket_, asio::buffer(outgoing_.front()),
                    [self](error_code error, std::size_t) {
                      self->outgoing_.pop_front();
                      if (!error && !self->outgoing_.empty()) return self->write_next();
                      self->sent_all();
                      if (error) return self->close();
                      if (self->last_sent_ && !self->keep_open_) self->close();
                    });
}

void ControlSession::close() {
  deadline_.cancel();
  error_code ignored;
  socket_.close(ignored);
}

ControlServer::ControlServer(asio::io_context& io, ControlSession::Handler handler)
    : acceptor_(io), pause_(io), handler_(std::move(handler)) {}

Result<UniqueFd> open_control_socket(const std::string& name) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  socklen_t size = 0;
  sockaddr_un address = socket_address(name, &size);
  if (!fd || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(fd.get(), kBacklog) != 0) {
    return sys_error("open the control socket " + name.substr(1));
  }
  return fd;
}

Status ControlServer::serve(UniqueFd listening, std::chrono::milliseconds patience) {
  patience_ = patience;
  error_code error;
  acceptor_.assign(stream_protocol(), listening.get(), error);
  if (error) return sys_error("serve the control socket", error.value());
  (void)listening.release();
  accept_next();
  return {};
}

void ControlServer::accept_next() {
  acceptor_.async_accept([this](error_code error, stream_protocol::socket socket) {
    if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
    if (error) {
      // Out of descriptors, most likely: not worth a busy loop.
      pause_.expires_after(std::chrono::milliseconds(200));
      pause_.async_wait([this](error_code cancelled) {
        if (!cancelled) accept_next();
      });
      return;
    }
    if (!may_ask(socket.native_handle())) {
      spdlog::warn("another user's process asked on the control socket; not answered");
    } else if (ControlSession::open_sessions() < kMostSessions) {
      std::make_shared<ControlSession>(std::move(socket), handler_)->start(patience_);
    }
    accept_next();
  });
}

void ControlServer::close() {
  pause_.cancel();
  error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace ck::job
