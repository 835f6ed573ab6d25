// ckd: the daemon of a host, and the commands that make a cluster of hosts.
#include "tools/ckd.h"

#include <unistd.h>

#include <memory>

#include "driver/client/socket_path.h"
#include "driver/cluster/secrets.h"
#include "driver/daemon/daemon.h"
#include "driver/daemon/event_log.h"
#include "runtime/base/log.h"
#include "runtime/base/standard_streams.h"
#include "runtime/job/names.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

constexpr char kExamples[] =
    R"(Without a subcommand ckd serves, in the foreground, until SIGTERM; SIGHUP makes it read its
settings again. Without a cluster it opens no port.

Examples:
  ckd init                         on the first host: make a cluster
  ckd invite > token               there: an invitation for one host
  ckd join < token                 on the next host; then start ckd there
  ckd revoke node7                 on the first host: node7 is refused from now on
  ckpt hosts                       what they all say

ckd SUBCOMMAND --help tells the options of each; exit codes are in ckd(8).)";

constexpr char kRootState[] = "/var/lib/ckrun";

struct Options {
  std::string config;
  std::string log_level = "info";
  daemon::Options daemon;
};

Result<int> serve(const Options& options) {
  CK_TRY(daemon::open_event_log(options.log_level));
  daemon::Options daemon = options.daemon;
  daemon.folder = CK_TRY(cluster::config_folder(options.config));
  if (daemon.socket.empty()) daemon.socket = client::own_socket();
  if (daemon.state_folder.empty())
    daemon.state_folder =
        geteuid() == 0 ? kRootState : CK_TRY(job::jobs_folder(daemon.jobs_dir)) + "/.ckd";
  CK_TRY(daemon::run_daemon(std::move(daemon)));
  return 0;
}

void add_options(CLI::App& app, Options& options) {
  add_config(app, options.config);
  add_dir(app, options.daemon.jobs_dir);
  app.add_option("--socket", options.daemon.socket,
                 "UNIX socket for ckpt (default: $CKD_SOCKET; for root /run/ckrun/ckd.sock, else "
                 "$XDG_RUNTIME_DIR/ckrun/ckd.sock or /tmp/ckrun-UID/ckd.sock)")
      ->type_name("PATH");
  app.add_option(
         "--state", options.daemon.state_folder,
         "Folder of the journal of hand-overs (default: for root /var/lib/ckrun, else .ckd in "
         "the folder of jobs)")
      ->type_name("DIR");
  app.add_option("--peers-from", options.daemon.peers_from,
                 "Hosts besides those of peers.toml: gridengine (qhost), slurm (sinfo) or a file "
                 "with a host a line")
      ->type_name("gridengine|slurm|FILE");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->type_name("LEVEL");
}

int run(const std::vector<std::string>& args) {
  CLI::App app("Daemon of a host: tells other hosts of it, and ckpt of them.", kCkd);
  app.set_version_flag("--version", "ckd " CKRUN_VERSION);
  app.require_subcommand(0, 1);
  app.footer(kExamples);
  auto options = std::make_shared<Options>();
  add_options(app, *options);
  Action action = [options] { return serve(*options); };
  declare_init(app, action);
  declare_invite(app, action);
  declare_join(app, action);
  declare_revoke(app, action);
  if (const Status order = check_order(kCkd, app, nullptr, args); !order.ok())
    return fail(kCkd, order.error());
  if (auto code = parse(kCkd, app, args)) return *code;
  Result<int> status = action();
  return status.ok() ? *status : fail(kCkd, status.error());
}

}  // namespace

void add_config(CLI::App& app, std::string& target) {
  app.add_option("--config", target,
                 "Folder of settings, keys and certificates (default: for root /etc/ckrun, else "
                 "$XDG_CONFIG_HOME/ckrun, else ~/.config/ckrun)")
      ->type_name("DIR");
}

}  // namespace ck::tools

int main(int argc, char** argv) {
  ck::fill_standard_streams();
  ck::log::init("ckd");
  return ck::tools::run({argv + 1, argv + argc});
}
