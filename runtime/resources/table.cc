#include "runtime/resources/table.h"

#include <string>

#include "runtime/resources/socket_name.h"

namespace ck::resources {
namespace {

constexpr const Kind* kKinds[] = {
    &kPathHandle, &kPty,           &kStandardStream, &kMessageQueue, &kDevice,     &kRegularFile,
    &kSavedFile,  &kDirectory,     &kPipe,           &kFifo,         &kEventFd,    &kTimerFd,
    &kSignalFd,   &kEpoll,         &kInotify,        &kPidFd,        &kUnixSocket, &kTcpSocket,
    &kUdpSocket,  &kNetlinkSocket, &kIoUring,
};

struct Unsupported {
  std::string_view prefix;  // of the link's target
  const char* what;
};
constexpr Unsupported kUnsupported[] = {
    {"anon_inode:[perf_event]", "a performance counter"},
    {"anon_inode:[userfaultfd]", "a userfaultfd"},
    {"anon_inode:[fanotify]", "a fanotify group"},
    {"anon_inode:bpf", "a BPF object"},
    {"anon_inode:[fscontext]", "a file system context"},
    {"anon_inode:kvm", "a virtual machine"},
    {"anon_inode:seccomp", "a seccomp listener"},
    {"anon_inode:landlock", "a Landlock rule set"},
    {"/secretmem", "secret memory, which nobody but the program can read"},
    {"/[aio]", "an asynchronous I/O context"},
    {"mnt:[", "a namespace"},
    {"net:[", "a namespace"},
    {"user:[", "a namespace"},
    {"pid:[", "a namespace"},
};

std::string description(const OpenFile& file) {
  const std::string& target = file.entry.target;
  for (const Unsupported& row : kUnsupported) {
    if (target.starts_with(row.prefix)) return row.what;
  }
  if (S_ISSOCK(file.status.st_mode)) return describe_socket(file.duplicate.get());
  if (S_ISCHR(file.status.st_mode) || S_ISBLK(file.status.st_mode)) {
    return "a device whose state cannot be saved";
  }
  return "of a kind that ckrun does not know";
}

}  // namespace

const Kind* find_kind(const CaptureSession& session, const OpenFile& file) {
  for (const Kind* kind : kKinds) {
    if (kind->recognises(session, file)) return kind;
  }
  return nullptr;
}

const Kind* kind_named(std::string_view name) {
  for (const Kind* kind : kKinds) {
    if (kind->name == name) return kind;
  }
  return nullptr;
}

Error refusal(const OpenFile& file) {
  return make_error(ErrorKind::kRefused, "it is " + description(file),
                    "close it before the checkpoint, or start the job without it (" +
                        std::to_string(file.entry.fd) + ">&-)");
}

}  // namespace ck::resources
