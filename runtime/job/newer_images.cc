#include "runtime/job/newer_images.h"

#include <unistd.h>

#include <chrono>

namespace ck::job {

namespace {

// A round of a copy over a slow link may take that long.
constexpr std::chrono::minutes kPatience{30};

}  // namespace

NewerImages::NewerImages(const JobDir& job)
    : job_(job), patience_(io_), server_(io_, [this](auto session, auto request) {
        handle_request(std::move(session), request);
      }) {}

Status NewerImages::serve(UniqueFd listening) {
  if (!listening) return sys_error("duplicate the control socket");
  return server_.serve(std::move(listening));
}

Result<NewerImages::Image> NewerImages::wait() {
  image_.reset();
  patience_.expires_after(kPatience);
  patience_.async_wait([this](boost::system::error_code error) {
    if (!error) io_.stop();
  });
  io_.restart();
  io_.run();
  patience_.cancel();
  if (image_) return *image_;
  io_.restart();
  io_.poll();
  return make_error(ErrorKind::kTryAgain,
                    "the last image of job " + job_.info().name + " has not come");
}

void NewerImages::answer(const wire::Reply& reply) {
  if (!session_) return;
  session_->send_last(reply);
  io_.restart();
  io_.poll();
  session_.reset();
}

void NewerImages::close() {
  server_.close();
}

void NewerImages::handle_request(std::shared_ptr<ControlSession> session,
                                 const wire::Request& request) {
  wire::Reply reply;
  if (request.has_newer_image() && !image_) {
    image_ = {request.newer_image().path(), request.newer_image().last()};
    session_ = std::move(session);
    return io_.stop();
  }
  if (request.has_unhold() && request.unhold().end()) {
    reply.mutable_done()->set_stopped(true);
    session->keep_open();  // until nothing is left
    session->send_last(reply);
    ended_by_ = std::move(session);
    return io_.stop();
  }
  if (request.has_status()) {
    reply.mutable_status()->set_id(job_.info().id);
    reply.mutable_status()->set_name(job_.info().name);
    reply.mutable_status()->set_folder(job_.path());
    reply.mutable_status()->set_supervisor(getpid());
    reply.mutable_status()->set_awaits_image(true);
  } else {
    reply = failure_reply(make_error(
        ErrorKind::kTryAgain,
        "of job " + job_.info().name + " there is only memory here, put in place in advance",
        "it runs elsewhere, or is coming from there"));
  }
  session->send_last(reply);
}

}  // namespace ck::job
