// Registrations for notification of POSIX message queues. Engine thread only.
#pragma once

#include "runtime/resources/restore.h"

namespace ck::resources {

// With restore_locks(): closing any descriptor of a queue drops the process's registration.
Status restore_queue_registrations(const RestoreContext& context, const image::Manifest& manifest);

}  // namespace ck::resources
