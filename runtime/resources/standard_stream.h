// Which of the restart's streams a descriptor gets; the kind itself is in table.h.
#pragma once

#include "runtime/resources/restore.h"

namespace ck::resources {

// Of a job whose standard streams were one open file of its terminal: where the restart's lead to
// different places, descriptors 0 to 2 get one each. -1: all have what the open file has become.
int stream_of_its_own(const RestoreSession& session, const image::DescriptorRecord& descriptor,
                      const image::OpenFileRecord& record);

}  // namespace ck::resources
