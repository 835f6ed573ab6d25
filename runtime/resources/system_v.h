// System V shared memory, semaphores and message queues. They belong to an IPC namespace, not to a
// process; which of them are the job's is decided thus:
//
//   - all of a namespace that is the job's own (a restart has made it, see below);
//   - segments that a process of the job has attached;
//   - objects whose creator, last sender, receiver or semaphore's last user, as far as the kernel
//     remembers, is a process of the job;
//   - objects that the job's user has made since the job began, if nobody else who still lives was
//     the last to use them. The kernel does not remember who made a queue or a set of semaphores,
//     and the process that used it may have ended.
//
// A restart gives them their ids, keys and contents again:
//
//   - where all are still there and nobody uses them, they get back the checkpoint's contents;
//   - else, with --pids real, what is gone is made again with its id (CAP_CHECKPOINT_RESTORE), and
//     what others use is refused; with --pids namespace all of them are made in an IPC namespace of
//     the job's own, which it then does not share with the host any more; with --pids virtual each
//     that is gone, in use or whose id belongs to another is made with the id that the kernel
//     chooses, and the program goes on to use the one that it knows (abi/system_v_ids.h).
//
// So an object has two ids, Owner.id, which the program knows, and the kernel's (kernels_id()).
// Objects outlive a job that is killed: by the kernel's id the next restart finds them.
//
// Adjustments of semaphores at a process's end (SEM_UNDO) are kept for processes of one thread,
// where only the job uses semaphores (system_v_undo.cc).
//
// Engine thread only.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/reader.h"
#include "runtime/memory/objects.h"
#include "runtime/proc/maps.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

namespace system_v {
struct Family;
class Maker;
}  // namespace system_v

// Fills manifest.system_v; contents of segments go to `objects`, before mappings are captured.
// `attached`: ids of segments.
Status capture_system_v(std::span<const CaptureProcess> processes, const std::set<int>& attached,
                        image::Manifest& manifest, memory::ObjectTable& objects);

class SystemVRestore {
 public:
  enum class Ids {
    kOfHost,     // the job gets its pids in the namespace of the engine, so that it is to share the
                 // IPC namespace too
    kNamespace,  // it may have one of its own
    kVirtual,
  };
  // Looks at what is there. Error with EEXIST: something is in the way.
  static Result<SystemVRestore> plan(const image::Reader& reader, Ids ids,
                                     std::vector<std::string>& warnings);
  SystemVRestore(SystemVRestore&& other) = default;
  SystemVRestore& operator=(SystemVRestore&&) = delete;
  ~SystemVRestore();  // removes what was made with virtual ids, unless keep()
  // In the job's first process, before it has children.
  Status begin(proc::Mailbox& root) const;
  // When all processes are there, before their memory.
  Status make(std::span<const RestoreProcess> processes);
  // When segments have been attached.
  Status finish(proc::Mailbox& root) const;
  // The restart has succeeded.
  void keep() { made_ = false; }

 private:
  SystemVRestore(const image::Reader& reader, SystemVState state)
      : reader_(&reader), state_(std::move(state)) {}
  template <typename Object>
  Status make_one(const system_v::Maker& maker, const system_v::Family& family, Object& object,
                  bool there) const;
  const image::Reader* reader_;
  SystemVState state_;
  std::set<int> segments_there_, semaphores_there_, queues_there_;  // ids of what is reused
  bool own_namespace_ = false;
  bool made_ = false;  // something that is not to stay yet
};

}  // namespace ck::resources
