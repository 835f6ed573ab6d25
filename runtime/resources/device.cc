// Character devices without state: opened by name again.
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

struct Device {
  unsigned major, minor;
  const char* path;
};
constexpr Device kDevices[] = {
    {1, 3, "/dev/null"},   {1, 5, "/dev/zero"},    {1, 7, "/dev/full"},
    {1, 8, "/dev/random"}, {1, 9, "/dev/urandom"}, {5, 0, "/dev/tty"},
};

const Device* find(const OpenFile& file) {
  if (!S_ISCHR(file.status.st_mode)) return nullptr;
  for (const Device& device : kDevices) {
    if (file.status.st_rdev == makedev(device.major, device.minor)) return &device;
  }
  return nullptr;
}

bool recognises(const CaptureSession&, const OpenFile& file) {
  return find(file) != nullptr;
}

// By its usual name: the one it was opened by may be in a chroot, or in a container's /dev.
Status capture(CaptureSession&, OpenFile& file, image::OpenFileRecord& record) {
  record.set_state(find(file)->path);
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  const Device* known = nullptr;
  for (const Device& device : kDevices) {
    if (record.state() == device.path) known = &device;
  }
  if (known == nullptr) {
    return make_error(ErrorKind::kBadImage, "device " + record.state() + " is not a known one");
  }
  Result<int> fd = session.open_there(known->path, record.flags() | O_NOCTTY);
  if (!fd.ok() && known->minor == 0) {
    session.warn("/dev/tty is /dev/null now: the restart has no controlling terminal");
    fd = session.open_there("/dev/null", record.flags());
  }
  return Restored::in_process(CK_TRY(std::move(fd)));
}

}  // namespace

const Kind kDevice = {"device", recognises, capture, restore};

}  // namespace ck::resources
