#include "driver/handover/wire.h"
#include "driver/protocol/fields.h"
#include "driver/protocol/frame.h"

namespace ck::protocol {
namespace {

Status check_row(const wire::HostRow& row) {
  CK_TRY(check_text("row.name", row.name(), 64));
  CK_TRY(check_text("row.address", row.address(), 300));
  CK_TRY(check_text("row.state", row.state(), 32));
  CK_TRY(check_text("row.reason", row.reason(), 8192));
  if (row.latency_ns() < 0) return bad_field("row.latency_ns", "is negative");
  return row.has_report() ? check_report(row.report()) : Status();
}

Status check_hosts(const wire::HostsReply& hosts) {
  CK_TRY(check_count("hosts.rows", hosts.rows_size(), kMostHosts + 1));
  for (const wire::HostRow& row : hosts.rows()) CK_TRY(check_row(row));
  return {};
}

Status check_all_jobs(const wire::AllJobsReply& reply) {
  CK_TRY(check_count("all_jobs.hosts", reply.hosts_size(), kMostHosts + 1));
  for (const wire::HostJobs& host : reply.hosts()) {
    CK_TRY(check_text("all_jobs.name", host.name(), 64));
    CK_TRY(check_jobs(host.jobs()));
    if (host.has_failure()) CK_TRY(check_refusal(host.failure()));
  }
  return {};
}

Status check_row(const wire::HandoverRow& row) {
  CK_TRY(check_text("row.handover", row.handover(), 64));
  CK_TRY(check_text("row.job", row.job(), 255));
  CK_TRY(check_text("row.peer", row.peer(), 64));
  return check_text("row.phase", row.phase(), 32);
}

Status check_handovers(const wire::HandoversReply& reply) {
  CK_TRY(check_count("handovers.rows", reply.rows_size(), kMostHandovers));
  for (const wire::HandoverRow& row : reply.rows()) CK_TRY(check_row(row));
  return {};
}

Status check_folder(std::string_view field, const std::string& folder) {
  bool absolute = folder.starts_with('/') && folder.find('\0') == std::string::npos;
  return absolute ? Status() : bad_field(field, "is not absolute");
}

Status check_migrate(const wire::MigrateRequest& request) {
  CK_TRY(check_text("migrate.target", request.target(), 4096));
  CK_TRY(check_host_name(request.host()));
  CK_TRY(check_folder("migrate.jobs_folder", request.jobs_folder()));
  return driver::handover::check(request.files());
}

Status check_auto(const wire::AutoMigrateRequest& request) {
  CK_TRY(check_text("auto_migrate.target", request.target(), 4096));
  return check_folder("auto_migrate.jobs_folder", request.jobs_folder());
}

Status check_moves(const wire::MovesReply& reply) {
  CK_TRY(check_count("moves.rows", reply.rows_size(), kMostMoves));
  for (const wire::MoveRow& row : reply.rows()) {
    CK_TRY(check_text("row.job", row.job(), 255));
    CK_TRY(check_text("row.host", row.host(), 64));
    CK_TRY(check_text("row.reason", row.reason(), 8192));
  }
  return {};
}

Status check_follow(const wire::FollowRequest& request) {
  CK_TRY(check_text("follow.job", request.job(), 64));
  return request.host().empty() ? Status() : check_host_name(request.host());
}

Status check_terminal(const wire::TerminalRequest& request) {
  CK_TRY(check_text("terminal.job", request.job(), 64));
  CK_TRY(check_process("terminal.server", request.server()));
  return request.host().empty() ? Status() : check_host_name(request.host());
}

Status check_run(const wire::RunRequest& request) {
  CK_TRY(check(request.order()));
  return check_host_name(request.host());
}

Status check_resolve(const wire::ResolveRequest& request) {
  const std::string& how = request.how();
  CK_TRY(check_text("resolve.handover", request.handover(), 64));
  if (how == "keep" || how == "take" || how == "drop") return {};
  return make_error(ErrorKind::kUsage, "'" + how + "' is not a decision", "say keep, take or drop");
}

}  // namespace

Status check(const wire::ControlRequest& request) {
  if (request.version() != kControlVersion) {
    return make_error(ErrorKind::kRefused, "ckpt and ckd are of different versions",
                      "restart ckd after an update");
  }
  if (request.has_migrate()) return check_migrate(request.migrate());
  if (request.has_follow()) return check_follow(request.follow());
  if (request.has_terminal()) return check_terminal(request.terminal());
  if (request.has_auto_migrate()) return check_auto(request.auto_migrate());
  if (request.has_run()) return check_run(request.run());
  if (request.has_drain()) return check_host_name(request.drain().host());
  if (request.has_resolve()) return check_resolve(request.resolve());
  if (request.kind_case() != wire::ControlRequest::KIND_NOT_SET) return {};
  return make_error(ErrorKind::kRefused, "the request is of a kind that this ckd does not know",
                    "restart ckd after an update");
}

Status check(const wire::ControlReply& reply) {
  switch (reply.kind_case()) {
    case wire::ControlReply::kError:
      return check_refusal(reply.error());
    case wire::ControlReply::kHosts:
      return check_hosts(reply.hosts());
    case wire::ControlReply::kAllJobs:
      return check_all_jobs(reply.all_jobs());
    case wire::ControlReply::kProgress:
      return check_text("progress.what", reply.progress().what(), 256);
    case wire::ControlReply::kMigrate:
      return check_text("migrate.job", reply.migrate().job(), 255);
    case wire::ControlReply::kHandovers:
      return check_handovers(reply.handovers());
    case wire::ControlReply::kFollow:
      return check_text("follow.host", reply.follow().host(), 64);
    case wire::ControlReply::kTerminal:
      return check_text("terminal.host", reply.terminal().host(), 64);
    case wire::ControlReply::kStarted:
      return check(reply.started());
    case wire::ControlReply::kResolve:
      return check_text("resolve.text", reply.resolve().text(), 1024);
    case wire::ControlReply::kMoves:
      return check_moves(reply.moves());
    case wire::ControlReply::kReload:
      return {};
    case wire::ControlReply::KIND_NOT_SET:
      break;
  }
  return make_error(ErrorKind::kRefused, "ckd's reply is of a kind that this ckpt does not know",
                    "use the ckpt that was installed with ckd");
}

}  // namespace ck::protocol
