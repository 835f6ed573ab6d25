#include "driver/handover/wire.h"
#include "driver/protocol/fields.h"

namespace ck::protocol {
namespace {

constexpr std::size_t kLongestText = 8192;
constexpr int kMostFeatures = 512;
constexpr int kMostAnswers = 16;
constexpr std::uint32_t kMostProcessors = 1u << 20;

Status check_name_field(std::string_view field, std::string_view name) {
  return check_host_name(name).ok() ? Status() : bad_field(field, "is not a host's name");
}

Status check_address_field(std::string_view field, std::string_view address) {
  return check_address(address).ok() ? Status() : bad_field(field, "is not an address");
}

Status check_job(const wire::JobRecord& job) {
  CK_TRY(check_text("job.id", job.id(), 64));
  CK_TRY(check_text("job.name", job.name(), 64));
  CK_TRY(check_text("job.state", job.state(), 300));
  CK_TRY(check_text("job.command", job.command(), kLongestCommand));
  CK_TRY(check_text("job.job_class", job.job_class(), 64));
  if (job.supervisor() < 0) return bad_field("job.supervisor", "is not a process id");
  return {};
}

Status check_news(const wire::News& news) {
  CK_TRY(check_count("news.peers", news.peers_size(), kMostHosts));
  for (const wire::Peer& peer : news.peers()) {
    CK_TRY(check_name_field("peer.name", peer.name()));
    CK_TRY(check_address_field("peer.address", peer.address()));
  }
  if (!news.revoked_pem().empty()) CK_TRY(check_pem("news.revoked_pem", news.revoked_pem()));
  return check_pem("news.authority_pem", news.authority_pem());
}

Status check_join(const wire::JoinRequest& request) {
  CK_TRY(check_name_field("join.host", request.host()));
  CK_TRY(check_address_field("join.address", request.address()));
  return check_pem("join.request_pem", request.request_pem());
}

Status check_admission(const wire::Admission& admission) {
  CK_TRY(check_pem("admission.certificate_pem", admission.certificate_pem()));
  if (!admission.has_news()) return bad_field("admission.news", "is missing");
  return check_news(admission.news());
}

Status check_answer(const wire::HandoverAnswer& answer) {
  CK_TRY(check_count("handover_answer.messages", answer.messages_size(), kMostAnswers));
  for (const auto& message : answer.messages()) CK_TRY(driver::handover::check(message));
  return {};
}

Status check_user(std::string_view field, std::string_view user) {
  if (user.empty()) return bad_field(field, "is missing");
  return check_text(field, user, 64);
}

Status check_terminal(const wire::TerminalOpen& open) {
  CK_TRY(check_user("terminal_open.user", open.user()));
  CK_TRY(check_process("terminal_open.server", open.server()));
  return check_text("terminal_open.job", open.job(), 64);
}

}  // namespace

Status check_refusal(const wire::Refusal& refusal) {
  // Texts are cleaned where they are shown: a message may quote a file's name.
  if (refusal.message().empty()) return bad_field("refusal.message", "is missing");
  if (refusal.message().size() > kLongestText) return bad_field("refusal.message", "is too long");
  if (refusal.hint().size() > kLongestText) return bad_field("refusal.hint", "is too long");
  return {};
}

Status check_report(const wire::HostReport& report) {
  CK_TRY(check_name_field("report.host", report.host()));
  CK_TRY(check_text("report.version", report.version(), 64));
  CK_TRY(check_text("report.kernel", report.kernel(), 128));
  CK_TRY(check_text("report.cpu_model", report.cpu_model(), 128));
  if (report.processors() == 0 || report.processors() > kMostProcessors) {
    return bad_field("report.processors", "is not a number of processors");
  }
  for (double load : {report.load_1(), report.load_5(), report.load_15()}) {
    CK_TRY(check_number("report.load", load));
  }
  CK_TRY(check_number("report.settled_load", report.settled_load()));
  if (report.memory_free_bytes() > report.memory_bytes()) {
    return bad_field("report.memory_free_bytes", "is more than the memory");
  }
  CK_TRY(check_count("report.cpu_features", report.cpu_features_size(), kMostFeatures));
  for (const std::string& name : report.cpu_features()) {
    CK_TRY(check_text("report.cpu_features", name, 64));
  }
  return {};
}

Status check_jobs(const wire::JobList& list) {
  CK_TRY(check_count("job_list.jobs", list.jobs_size(), kMostJobs));
  for (const wire::JobRecord& job : list.jobs()) CK_TRY(check_job(job));
  return {};
}

Status check(const wire::PeerMessage& message) {
  switch (message.kind_case()) {
    case wire::PeerMessage::kHello:
      return check_name_field("hello.host", message.hello().host());
    case wire::PeerMessage::kRefusal:
      return check_refusal(message.refusal());
    case wire::PeerMessage::kHostReport:
      return check_report(message.host_report());
    case wire::PeerMessage::kJobsQuery:
      return check_user("jobs_query.user", message.jobs_query().user());
    case wire::PeerMessage::kJobList:
      return check_jobs(message.job_list());
    case wire::PeerMessage::kJoinRequest:
      return check_join(message.join_request());
    case wire::PeerMessage::kRenewRequest:
      return check_pem("renew.request_pem", message.renew_request().request_pem());
    case wire::PeerMessage::kAdmission:
      return check_admission(message.admission());
    case wire::PeerMessage::kNews:
      return check_news(message.news());
    case wire::PeerMessage::kHandover:
      return driver::handover::check(message.handover());
    case wire::PeerMessage::kHandoverAnswer:
      return check_answer(message.handover_answer());
    case wire::PeerMessage::kTransferOpen:
      return check_text("transfer_open.handover", message.transfer_open().handover(),
                        driver::handover::kIdBytes);
    case wire::PeerMessage::kTerminalOpen:
      return check_terminal(message.terminal_open());
    case wire::PeerMessage::kRun:
      CK_TRY(check_user("run.user", message.run().user()));
      return check(message.run().order());
    case wire::PeerMessage::kStarted:
      return check(message.started());
    case wire::PeerMessage::kTerminalReady:
    case wire::PeerMessage::kTransferReady:
    case wire::PeerMessage::kHostQuery:
    case wire::PeerMessage::kNewsQuery:
    case wire::PeerMessage::kTaken:
      return {};
    case wire::PeerMessage::KIND_NOT_SET:
      break;
  }
  return make_error(ErrorKind::kRefused, "a message is of a kind that is not known here",
                    "the hosts' versions of ckrun may differ");
}

}  // namespace ck::protocol
