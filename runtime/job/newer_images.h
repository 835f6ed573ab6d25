// A restart that puts memory in place in advance, while the job runs elsewhere, is told of the
// job's newer images: its end of the control socket meanwhile. Supervisor's main thread only.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/control_server.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

class NewerImages {
 public:
  explicit NewerImages(const JobDir& job);

  // `listening`: the control socket, or a duplicate. Whoever connects while nobody waits here is
  // served when somebody does.
  Status serve(UniqueFd listening);

  struct Image {
    std::string path;
    bool last = false;
  };
  // The next one. kTryAgain if it will not come: whoever it was to come from says so, or has been
  // silent for long.
  Result<Image> wait();
  // To whoever named the last one; once for each. The connection stays until this is destroyed.
  void answer(const wire::Reply& reply);
  // What comes from now on is for the next to serve.
  void close();

 private:
  void handle_request(std::shared_ptr<ControlSession> session, const wire::Request& request);

  const JobDir& job_;
  boost::asio::io_context io_;
  boost::asio::steady_timer patience_;
  ControlServer server_;
  std::shared_ptr<ControlSession> session_;  // whose image is being read
  std::shared_ptr<ControlSession> ended_by_;
  std::optional<Image> image_;
};

}  // namespace ck::job
