// The supervisor's end of the control socket: accepts, checks who asks, reads one request, hands it
// on. Supervisor's main thread only (the io_context's).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/control_frame.h"

namespace ck::job {

// One client: one request, then replies until the last one.
class ControlSession : public std::enable_shared_from_this<ControlSession> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;
  using Handler = std::function<void(std::shared_ptr<ControlSession>, wire::Request)>;

  ControlSession(Socket socket, Handler handler);
  ~ControlSession();
  void start(std::chrono::milliseconds patience);

  void send_progress(const wire::ProgressReply& progress);  // dropped if the client reads slowly
  void send_last(const wire::Reply& reply);
  bool client_gone() const { return client_gone_; }

  static int open_sessions() { return open_; }
  // Once: at once, or as soon as no session has anything left to send.
  static void when_all_sent(std::function<void()> done);

 private:
  void read_body();
  void handle_request();
  void watch_for_hangup();
  void write_next();
  void close();
  void sent_all();

  Socket socket_;
  boost::asio::steady_timer deadline_;
  Handler handler_;
  FrameHeader header_{};
  std::string body_;
  std::deque<std::string> outgoing_;
  char unexpected_ = 0;
  bool client_gone_ = false;
  bool last_sent_ = false;
  bool keep_open_ = false;
  static inline int open_ = 0;
  static inline int sending_ = 0;  // sessions with something in outgoing_
  static inline std::function<void()> when_all_sent_;

 public:
  // After the last reply the connection stays open until the session is destroyed: its end then
  // tells the client that the supervisor is gone.
  void keep_open() { keep_open_ = true; }
};

// A socket that listens, close-on-exec. Clients may connect and ask from now on; they are answered
// once a ControlServer serves it. `name`: socket_name().
Result<UniqueFd> open_control_socket(const std::string& name);

class ControlServer {
 public:
  ControlServer(boost::asio::io_context& io, ControlSession::Handler handler);
  // A client has `patience` for sending its request.
  Status serve(UniqueFd listening, std::chrono::milliseconds patience = std::chrono::seconds(5));
  void close();

 private:
  void accept_next();
  boost::asio::local::stream_protocol::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  ControlSession::Handler handler_;
  std::chrono::milliseconds patience_{};
};

}  // namespace ck::job
