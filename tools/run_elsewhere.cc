#include "tools/run_elsewhere.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <cstdlib>

#include "driver/client/client.h"
#include "driver/client/daemon_caller.h"
#include "driver/protocol/check.h"
#include "driver/protocol/environment.h"
#include "driver/protocol/frame.h"
#include "driver/terminal/remote_terminal.h"
#include "driver/terminal/window.h"
#include "runtime/job/run_parts.h"
#include "runtime/job/terminal_client.h"
#include "runtime/job/user_terminal.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

namespace wire = protocol::wire;

constexpr char kTool[] = "ckrun";
constexpr std::chrono::milliseconds kPatience{45000};  // ckd gives a host 30 s to start a program

Status check_terminal(const ElsewherePlan& plan) {
  const bool has_terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  if (plan.own_terminal.value_or(has_terminal)) return {};
  return make_error(ErrorKind::kRefused,
                    "--on needs a terminal: standard input or output is none, or --no-pty is given",
                    "--pty gives the job a terminal there all the same; or start it there: ssh " +
                        plan.host + " ckrun ...");
}

Result<std::string> working_folder() {
  char path[PATH_MAX];
  if (::getcwd(path, sizeof path) == nullptr) return sys_error("find the working directory");
  return std::string(path);
}

mode_t current_umask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

wire::UserTerminal user_terminal() {
  wire::UserTerminal sent;
  const job::UserTerminal user = job::UserTerminal::find();
  if (!user) return sent;
  sent.set_modes(reinterpret_cast<const char*>(&*user.modes()), sizeof(terminal::Modes));
  if (const std::optional<terminal::Window> window = user.window())
    driver::terminal::put(*window, sent);
  return sent;
}

Result<wire::RunOrder> make_order(const ElsewherePlan& plan) {
  wire::RunOrder order;
  std::size_t bytes = 0;
  for (const std::string& word : plan.arguments) {
    order.add_arguments(word);
    bytes += word.size();
  }
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const bool is_variable = text.find('=', 1) != std::string_view::npos && text[0] != '=';
    if (!is_variable || protocol::belonging_of(text) != protocol::Belonging::kUser) continue;
    order.add_environment(*entry);
    bytes += text.size();
  }
  if (bytes > protocol::kLongestOrder)
    return make_error(ErrorKind::kRefused,
                      "arguments and environment are " + std::to_string(bytes) +
                          " bytes, over the limit of " + std::to_string(protocol::kLongestOrder),
                      "unset what the program does not need");
  order.set_folder(CK_TRY(working_folder()));
  order.set_umask(current_umask());
  *order.mutable_terminal() = user_terminal();
  CK_TRY(protocol::check(order));
  return order;
}

Result<wire::Started> start(const ElsewherePlan& plan) {
  CK_TRY(protocol::check_host_name(plan.host));
  wire::ControlRequest request;
  request.mutable_run()->set_host(plan.host);
  *request.mutable_run()->mutable_order() = CK_TRY(make_order(plan));
  const wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  if (reply.has_started()) return reply.started();
  return make_error(ErrorKind::kRefused, "ckd answered something else than was asked",
                    "is it of the same version as this command?");
}

Result<int> show(const ElsewherePlan& plan, const wire::Started& started) {
  driver::terminal::RemotePlan remote;
  remote.place = {started.job(), plan.host, started.server()};
  remote.name = started.name();
  remote.otherwise = exit_code(ErrorKind::kTryAgain);
  job::ClientOptions options;
  options.tool = kTool;
  options.name = started.name();
  options.job = CK_TRY(
      driver::terminal::RemoteTerminal::make(std::move(remote), client::make_daemon_caller()));
  options.end_of_input = true;
  return CK_TRY(job::run_terminal_client(std::move(options))).status;
}

}  // namespace

Result<int> run_elsewhere(const ElsewherePlan& plan) {
  CK_TRY(job::refuse_in_a_job());
  CK_TRY(check_terminal(plan));
  const wire::Started started = CK_TRY(start(plan));
  if (!started.has_failure()) return show(plan, started);
  (void)fail(kTool, protocol::error_of(started.failure()).within("host " + plan.host));
  return started.exit_status();
}

}  // namespace ck::tools
