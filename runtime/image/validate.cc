#include "runtime/image/validate.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <unordered_set>

#include "runtime/image/bundle.h"

namespace ck::image {

namespace {

// A message of two bytes can become an object of a hundred; records without chunks are few.
constexpr std::size_t kMaxRecordBytes = 128u << 20;
constexpr std::uint32_t kMinChunkRecordBytes = 20;

constexpr std::uint32_t kMaxFileMode = 0177777;
constexpr int kMaxOwnerType = 2;  // F_OWNER_PGRP

Status validate_job(const JobRecord& job) {
  CK_TRY(check_text(job.id(), "the job's id", 255));
  if (job.id().find('/') != std::string::npos || job.id().starts_with('.')) {
    return invalid("the job's id is not a file name");
  }
  CK_TRY(check_text(job.name(), "the job's name", 255));
  for (const std::string& argument : job.command())
    CK_TRY(check_text(argument, "the job's command"));
  CK_TRY(check_text(job.terminal_type(), "the terminal's type"));
  CK_TRY(check_text(job.hostname(), "the hostname that the job keeps", 64));
  CK_TRY(check_text(job.settings(), "the job's settings", 4096));
  return check_text(job.request_signal(), "the request signal", 64);
}

Status validate_host(const HostRecord& host) {
  CK_TRY(check_text(host.hostname(), "the host's name", 255));
  CK_TRY(check_text(host.kernel(), "the kernel's name", 255));
  CK_TRY(check_text(host.machine(), "the machine's name", 255));
  CK_TRY(check_text(host.cpu_model(), "the CPU's name", 255));
  if (host.cpuid_size() > 4096 || host.xsave_size() > 64) {
    return invalid("the description of the CPU is too large");
  }
  for (const XsaveComponent& part : host.xsave()) {
    if (part.bit() > 63 || part.offset() > (1u << 20) || part.size() > (1u << 20)) {
      return invalid("the CPU has an impossible XSAVE component");
    }
  }
  return {};
}

Status validate_object(const ObjectRecord& object) {
  if (!ObjectRecord::Kind_IsValid(object.kind())) return invalid("is of an unknown kind");
  CK_TRY(check_text(object.path(), "its path"));
  const bool by_path =
      object.kind() == ObjectRecord::PATH || object.kind() == ObjectRecord::DIRECTORY;
  if (by_path && object.path().empty()) return invalid("has no path");
  if (object.size() > kMaxFileOffset) return invalid("has an impossible size");
  if (object.mode() > kMaxFileMode) return invalid("has an impossible mode");
  if (!object.content_hash().empty() && object.content_hash().size() != 16) {
    return invalid("has an impossible checksum");
  }
  return {};
}

Status validate_open_file(const OpenFileRecord& file, const Manifest& manifest) {
  CK_TRY(check_text(file.kind(), "its kind", 64));
  if (file.kind().empty()) return invalid("has no kind");
  CK_TRY(check_text(file.name(), "its name"));
  CK_TRY(check_text(file.standard_stream(), "its stream", 64));
  if (file.object() > static_cast<std::uint32_t>(manifest.objects_size())) {
    return invalid("names an object that is not there");
  }
  if (file.owner_type() < 0 || file.owner_type() > kMaxOwnerType || file.owner() < -kMaxPid ||
      file.owner() > kMaxPid || file.io_signal() < 0 || file.io_signal() > kMaxSignal) {
    return invalid("has an impossible owner or signal");
  }
  return {};
}

// Ids are the kernel's: one name space for processes and threads. Parents come first.
Status validate_ids(const Manifest& manifest) {
  std::unordered_set<std::int32_t> pids;
  std::unordered_set<std::int32_t> tids;
  std::unordered_set<std::int32_t> seen;
  for (const ProcessRecord& process : manifest.processes()) pids.insert(process.pid());
  if (pids.size() != static_cast<std::size_t>(manifest.processes_size())) {
    return invalid("two processes have the same pid");
  }
  for (const ProcessRecord& process : manifest.processes()) {
    const std::int32_t parent = process.ppid();
    if (pids.contains(parent) && !seen.contains(parent)) {
      return invalid("process " + std::to_string(process.pid()) + " comes before its parent");
    }
    seen.insert(process.pid());
    for (const ThreadRecord& thread : process.threads()) {
      if (!tids.insert(thread.tid()).second) {
        return invalid("two threads have the id " + std::to_string(thread.tid()));
      }
    }
  }
  for (const EndedRecord& ended : manifest.ended()) {
    const std::string name = "ended process " + std::to_string(ended.pid());
    if (!tids.insert(ended.pid()).second) return invalid(name + " has the id of another");
    if (!seen.contains(ended.ppid())) return invalid(name + " has no parent");
  }
  if (tids.size() > static_cast<std::size_t>(kMaxThreads)) return invalid("too many threads");
  return {};
}

Status validate_terminal(const TerminalRecord& terminal) {
  constexpr std::size_t kModesBytes = 44, kWindowBytes = 8;  // asm/termbits.h, asm/termios.h
  constexpr std::size_t kMostUnread = 2 << 20;
  const auto is_id = [](std::int32_t value) { return value >= 0 && value <= kMaxPid; };
  if (!TerminalRecord::Place_IsValid(terminal.place())) return invalid("is of an unknown kind");
  const bool outside = terminal.place() == TerminalRecord::OUTSIDE;
  const bool described =
      terminal.modes().size() == kModesBytes && terminal.window().size() == kWindowBytes;
  const bool unknown = terminal.modes().empty() && terminal.window().empty();
  if (!described && !(outside && unknown)) return invalid("has impossible modes");
  if (terminal.number() >= kMaxTerminals || !is_id(terminal.session()) ||
      !is_id(terminal.foreground()) || terminal.permissions() > 0777)
    return invalid("has an impossible number");
  if (terminal.input().size() > kMostUnread || terminal.output().size() > kMostUnread)
    return invalid("holds too much");
  return {};
}

Status validate_ended(const EndedRecord& ended) {
  const auto is_id = [](std::int32_t value) { return value >= 0 && value <= kMaxPid; };
  const int status = ended.wait_status();
  if (ended.pid() <= 0 || !is_id(ended.pid()) || !is_id(ended.ppid()) || !is_id(ended.pgid()) ||
      !is_id(ended.sid()) || ended.exit_signal() < -1 || ended.exit_signal() > kMaxSignal ||
      status < 0 || status > 0xffff || (status & 0x7f) == 0x7f) {
    return invalid("has impossible ids or an impossible status");
  }
  return check_text(ended.name(), "its name", 255);
}

template <typename Records, typename Check>
Status validate_each(const Records& records, const char* what, Check check) {
  for (int i = 0; i < records.size(); ++i) {
    if (Status status = check(records[i]); !status.ok()) {
      return std::move(status).error().within(what + std::to_string(i));
    }
  }
  return {};
}

}  // namespace

Error invalid(std::string what) {
  return make_error(ErrorKind::kBadImage, std::move(what));
}

Status check_text(const std::string& text, const char* what, std::size_t limit) {
  if (text.size() > limit) return invalid(std::string(what) + " is too long");
  if (text.find('\0') != std::string::npos) return invalid(std::string(what) + " contains a NUL");
  return {};
}

Status validate_serialised(const std::string& manifest, std::string* records) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const std::uint8_t*>(manifest.data()),
                                            static_cast<int>(manifest.size()));
  std::size_t record_bytes = 0;
  for (int begin = 0; const std::uint32_t tag = in.ReadTag(); begin = in.CurrentPosition()) {
    const int before = in.CurrentPosition();
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    if (field == Manifest::kChunksFieldNumber &&
        WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      std::uint32_t size = 0;
      if (!in.ReadVarint32(&size) || size < kMinChunkRecordBytes ||
          !in.Skip(static_cast<int>(size))) {
        return invalid("a chunk's record is too short");
      }
      continue;
    }
    if (!WireFormatLite::SkipField(&in, tag)) return invalid("it cannot be parsed");
    record_bytes += static_cast<std::size_t>(in.CurrentPosition() - before);
    if (records != nullptr)
      records->append(manifest, static_cast<std::size_t>(begin),
                      static_cast<std::size_t>(in.CurrentPosition() - begin));
  }
  if (!in.ConsumedEntireMessage()) return invalid("it cannot be parsed");
  if (record_bytes > kMaxRecordBytes) return invalid("it describes too many things");
  return {};
}

Status validate_records(const Manifest& manifest) {
  if (manifest.parents_size() > kMaxParents) return invalid("it has too many parents");
  CK_TRY(check_text(manifest.writer(), "the writer's name", 255));
  CK_TRY(validate_job(manifest.job()));
  CK_TRY(validate_host(manifest.host()));
  if (manifest.processes().empty() != is_bundle(manifest)) return invalid("it has no process");
  if (manifest.processes_size() > kMaxProcesses || manifest.ended_size() > kMaxProcesses ||
      manifest.objects_size() > kMaxObjects || manifest.open_files_size() > kMaxOpenFiles) {
    return invalid("it describes too many things");
  }
  CK_TRY(validate_each(manifest.objects(), "object ", validate_object));
  CK_TRY(validate_each(manifest.open_files(), "open file ", [&](const OpenFileRecord& file) {
    return validate_open_file(file, manifest);
  }));
  for (const ProcessRecord& process : manifest.processes()) {
    if (Status status = validate_process(process, manifest); !status.ok()) {
      return std::move(status).error().within("process " + std::to_string(process.pid()));
    }
  }
  if (manifest.terminals_size() > static_cast<int>(kMaxTerminals))
    return invalid("it describes too many things");
  CK_TRY(validate_each(manifest.terminals(), "terminal ", validate_terminal));
  CK_TRY(validate_each(manifest.ended(), "ended process ", validate_ended));
  return validate_ids(manifest);
}

}  // namespace ck::image
