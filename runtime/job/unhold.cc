#include "runtime/job/unhold.h"

#include <chrono>

namespace ck::job {

namespace {
constexpr std::chrono::seconds kPatience{30};
}  // namespace

Status unhold(ControlClient& client, const UnholdOrder& order) {
  wire::Request request;
  wire::UnholdRequest& unhold = *request.mutable_unhold();
  unhold.set_end(order.end);
  if (order.counter) unhold.set_counter(*order.counter);
  unhold.set_moved_to(order.moved_to);
  const wire::Reply reply = CK_TRY(client.ask(request, kPatience));
  // The supervisor of a job that moves may stay.
  if (reply.done().stopped() && order.moved_to.empty() && !client.wait_for_end(kPatience))
    return make_error(ErrorKind::kTryAgain,
                      "supervisor " + to_string(client.supervisor()) + " has not ended yet");
  return {};
}

}  // namespace ck::job
