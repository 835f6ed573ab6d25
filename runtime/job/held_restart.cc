#include "runtime/job/held_restart.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/job/keeper_wire.h"

namespace ck::job {

using boost::system::error_code;

HeldRestart::HeldRestart(Parts parts)
    : parts_(std::move(parts)), keeper_(io_), server_(io_, [this](auto session, auto request) {
        handle_request(std::move(session), request);
      }) {}

Status HeldRestart::serve(UniqueFd listening) {
  if (!listening) return sys_error("duplicate the control socket");
  if (parts_.terminal != nullptr) {
    const int fd = fcntl(parts_.terminal->socket(), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return sys_error("watch the job's terminal");
    keeper_.assign(fd);
    wait_for_keeper();
  }
  return server_.serve(std::move(listening));
}

bool HeldRestart::wait() {
  io_.run();
  return *goes_on_;
}

void HeldRestart::decide(bool goes_on) {
  goes_on_ = goes_on;
  server_.close();  // the next to connect waits for the supervisor
  error_code ignored;
  keeper_.close(ignored);
  io_.stop();
}

void HeldRestart::answer(const wire::Reply& reply) {
  if (!session_) return;
  session_->send_last(reply);
  io_.restart();
  io_.poll();
}

void HeldRestart::handle_request(std::shared_ptr<ControlSession> session,
                                 const wire::Request& request) {
  if (request.has_unhold() && !goes_on_) return handle_unhold(session, request.unhold());
  wire::Reply reply;
  if (request.has_status())
    *reply.mutable_status() = status();
  else
    reply = failure_reply(make_error(
        ErrorKind::kTryAgain, "job " + parts_.job.info().name + " is held and has not run yet",
        "ckpt unhold lets it go on"));
  session->send_last(reply);
}

void HeldRestart::handle_unhold(std::shared_ptr<ControlSession> session,
                                const wire::UnholdRequest& request) {
  const auto refuse = [&](const Error& error) { session->send_last(failure_reply(error)); };
  if (!request.moved_to().empty())
    return refuse(make_error(ErrorKind::kRefused,
                             "this copy of job " + parts_.job.info().name +
                                 " is held and has not run: it is not the one that moves",
                             "ckpt unhold --end ends it"));
  if (!request.end()) {
    const std::optional<std::uint64_t> counter =
        request.has_counter() ? std::optional(request.counter()) : std::nullopt;
    if (Status owned = parts_.own(counter); !owned.ok()) return refuse(owned.error());
  } else {
    session->keep_open();
  }
  session_ = std::move(session);
  decide(!request.end());
}

wire::StatusReply HeldRestart::status() const {
  wire::StatusReply reply;
  reply.set_id(parts_.job.info().id);
  reply.set_name(parts_.job.info().name);
  reply.set_folder(parts_.job.path());
  reply.set_supervisor(getpid());
  reply.set_root(parts_.root.value);
  reply.set_request_signal(parts_.request_signal);
  reply.set_held(true);
  return reply;
}

// --- the job's own terminal

void HeldRestart::wait_for_keeper() {
  keeper_.async_wait(decltype(keeper_)::wait_read, [this](error_code error) {
    if (!error) take_keeper_message();
  });
}

// Signals that the user sends to the client: those that end a restart end this one, the others are
// for a program that runs.
void HeldRestart::take_keeper_message() {
  Result<keeper::Message> message = keeper::receive(keeper_.native_handle());
  if (!message.ok()) {
    std::fprintf(stderr, "ckpt: the terminal of the held job has gone: its keeper has died\n");
    return decide(false);
  }
  const int number = message->type == keeper::Type::kSignal ? message->value : 0;
  if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
    kill(getpid(), number);
  wait_for_keeper();
}

}  // namespace ck::job
