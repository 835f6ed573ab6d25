#include "driver/migrate/terminal_step.h"

#include "driver/migrate/ckpt_command.h"
#include "driver/terminal/call_server.h"
#include "runtime/job/job_state.h"
#include "runtime/job/names.h"

namespace ck::driver::migrate {

Status connect_terminal(const std::string& jobs_folder, const std::string& id, std::uint64_t server,
                        const UniqueFd& stream) {
  const std::string folder = CK_TRY(job::jobs_folder(jobs_folder));
  const job::JobDir job = CK_TRY(job::JobDir::find(folder, id));
  const std::string& name = job.info().name;
  if (server != 0)
    return terminal::give_to_server(RealPid(static_cast<pid_t>(server)), name, stream);
  const job::JobState state = CK_TRY(job::job_state(job));
  if (!state.incarnation || !state.incarnation->supervisor)
    return make_error(ErrorKind::kNotFound, "job " + name + " does not run here");
  const RealPid keeper = state.incarnation->keeper;
  if (!keeper)
    return make_error(ErrorKind::kRefused, "job " + name + " has no terminal of its own",
                      "ckrun gives it one if it is started on a terminal, or with --pty");
  const bool runs =
      state.kind == job::JobState::Kind::kRunning || state.kind == job::JobState::Kind::kOrphaned;
  Status given = terminal::give_to_server(keeper, name, stream);
  if (given.ok() || !runs || given.error().kind != ErrorKind::kNotFound) return given;
  CK_TRY(start_ckpt("serve-terminal", {"--dir", folder, id}, job.file("restart.log")));
  return terminal::give_to_server(keeper, name, stream);
}

}  // namespace ck::driver::migrate
