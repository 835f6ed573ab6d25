#include "runtime/job/attach_job.h"

#include "runtime/job/adopt_job.h"
#include "runtime/job/find_job.h"
#include "runtime/job/local_terminal.h"
#include "runtime/job/run_parts.h"

namespace ck::job {
namespace {

Result<RealPid> keeper_of(const JobDir& job) {
  const std::optional<Incarnation> life = CK_TRY(job.incarnation());
  if (life && life->keeper) return life->keeper;
  return make_error(ErrorKind::kRefused, "job " + job.info().name + " has no terminal of its own",
                    "ckrun gives it one if it is started on a terminal, or with --pty");
}

Result<JobDir> running_job(const std::string& target, const std::string& jobs_folder, bool adopt) {
  Result<ControlClient> client =
      adopt ? find_or_start_supervisor(target, jobs_folder) : find_supervisor(target, jobs_folder);
  if (client.ok()) return JobDir::open(CK_TRY(client->status()).folder());
  std::optional<JobDir> orphan = CK_TRY(find_orphan(target, jobs_folder));
  if (orphan) return *std::move(orphan);
  return std::move(client).error();
}

}  // namespace

Result<int> attach_job(const std::string& target, const std::string& jobs_folder, Redraw how) {
  const JobDir job = CK_TRY(running_job(target, jobs_folder, true));
  // Its terminal would be shown on itself.
  const std::optional<Incarnation> life = CK_TRY(job.incarnation());
  if (life && !life->area.empty() && life->area == area_of_own_job())
    return make_error(ErrorKind::kRefused,
                      "this is typed inside of job " + job.info().name + " itself",
                      "attach it from another terminal");
  ClientOptions options;
  options.tool = "ckpt";
  options.job = std::make_unique<LocalTerminal>(CK_TRY(keeper::connect(CK_TRY(keeper_of(job)))));
  options.redraw = true;
  options.how = how;
  return CK_TRY(run_terminal_client(std::move(options))).status;
}

Result<bool> detach_job(const std::string& target, const std::string& jobs_folder) {
  const JobDir job = CK_TRY(running_job(target, jobs_folder, false));
  return CK_TRY(keeper::ask(CK_TRY(keeper_of(job)), keeper::Type::kDetach)).value != 0;
}

}  // namespace ck::job
