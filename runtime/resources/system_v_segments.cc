// Shared memory segments: shmget(2).
#include <sys/mman.h>
#include <sys/shm.h>

#include "runtime/image/pieces.h"
#include "runtime/image/writer.h"
#include "runtime/memory/read_memory.h"
#include "runtime/memory/resident_runs.h"
#include "runtime/proc/mem.h"
#include "runtime/resources/system_v_kinds.h"

namespace ck::resources::system_v {
namespace {

constexpr std::uint64_t kPage = 4096;

std::uint64_t whole_pages(std::uint64_t size) {
  return (size + kPage - 1) / kPage * kPage;
}

// A segment, attached in a parked process for a moment. Also one that is marked for removal can be
// attached (shmat(2)).
class Attachment {
 public:
  static Result<Attachment> make(proc::Mailbox& box, const SystemVState::Owner& owner, int flags) {
    const std::int64_t begin = CK_TRY(
        box.call("attach " + name_of(kSegments, owner), SYS_shmat, kernels_id(owner), 0, flags));
    return Attachment(box, static_cast<std::uint64_t>(begin));
  }
  ~Attachment() {
    if (begin_ != 0) (void)box_->call("detach a segment", SYS_shmdt, begin_);
  }
  Attachment(Attachment&& other) noexcept
      : box_(other.box_), begin_(std::exchange(other.begin_, 0)) {}
  Attachment& operator=(Attachment&&) = delete;
  std::uint64_t begin() const { return begin_; }

 private:
  Attachment(proc::Mailbox& box, std::uint64_t begin) : box_(&box), begin_(begin) {}
  proc::Mailbox* box_;
  std::uint64_t begin_;
};

class AttachedSource : public image::ByteSource {
 public:
  AttachedSource(const memory::MemorySource& memory, std::uint64_t begin)
      : memory_(memory), begin_(begin) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    return memory_.read(begin_ + offset, into);
  }

 private:
  const memory::MemorySource& memory_;
  std::uint64_t begin_;
};

Status capture_content(const Job& job, bool swapped, const SystemVState::Segment& segment,
                       memory::ObjectTable& objects) {
  const std::uint64_t size = objects.record(segment.object()).size();
  const Attachment attachment = CK_TRY(Attachment::make(job.box(), segment.owner(), SHM_RDONLY));
  std::vector<image::Run> runs{{0, size}};
  if (!swapped) runs = CK_TRY(memory::resident_runs(job.box(), attachment.begin(), size, 0));
  const auto memory = CK_TRY(memory::MemorySource::open(job.pid()));
  return objects.freeze_content(segment.object(), AttachedSource(*memory, attachment.begin()),
                                runs);
}

Status write_content(const Maker& maker, std::uint32_t object, std::uint64_t address) {
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(maker.box().pid()));
  const image::Manifest& manifest = maker.reader().manifest();
  const image::StreamId wanted{image::StreamId::Kind::kObject, object - 1};
  std::vector<std::byte> buffer(image::kChunkBytes);
  for (int i = 0; i < manifest.chunks_size(); ++i) {
    const image::ChunkRecord& chunk = manifest.chunks(i);
    if (!(image::StreamId::unpack(chunk.stream()) == wanted)) continue;
    const auto content = std::span(buffer).first(chunk.raw_size());
    CK_TRY(maker.reader().read_chunk(static_cast<std::size_t>(i), content));
    for (const image::Piece& piece : image::pieces_of(chunk))
      CK_TRY(memory.write(address + piece.begin, content.subspan(piece.at, piece.length)));
  }
  return {};
}

}  // namespace

Status capture_segments(const Job& job, int highest, bool swapped, const std::set<int>& attached,
                        memory::ObjectTable& objects, SystemVState& state) {
  const auto all = CK_TRY(list<shmid_ds>(job, kSegments, highest));
  std::set<int> missing = attached;
  for (const auto& [id, found] : all) {
    const Job::User users[] = {{found.shm_cpid, true}, {found.shm_lpid, found.shm_lpid != 0}};
    const bool is_attached = missing.erase(id) != 0;
    if (!is_attached && !CK_TRY(job.owns(found.shm_perm, found.shm_ctime, users))) continue;
    SystemVState::Segment& segment = *state.add_segments();
    fill_owner(job, kSegments, id, found.shm_perm, *segment.mutable_owner());
    segment.set_size(found.shm_segsz);
    segment.set_removed(found.shm_perm.mode & SHM_DEST);
    segment.set_creator(job.known(found.shm_cpid));
    segment.set_object(objects.add_system_v(segment.owner().id(), whole_pages(found.shm_segsz)));
    CK_TRY(capture_content(job, swapped, segment, objects));
  }
  if (missing.empty()) return {};
  return make_error(ErrorKind::kRefused, "System V shared memory segment " +
                                             std::to_string(*missing.begin()) +
                                             " is attached, but cannot be examined");
}

Standing standing(const SystemVState::Segment& segment) {
  shmid_ds found{};
  if (::shmctl(kernels_id(segment.owner()), IPC_STAT, &found) != 0)
    return errno == EINVAL || errno == EIDRM ? Standing::kGone : Standing::kOther;
  if (!is_same(found.shm_perm, segment.owner()) || found.shm_segsz != segment.size())
    return Standing::kOther;
  return found.shm_nattch != 0 ? Standing::kInUse : Standing::kSame;
}

// A process's own mark in the memory of a segment: who made it stays who made it.
Status restore(const Maker& maker, SystemVState::Segment& segment, bool there) {
  constexpr int kOwnerMay = 0600;
  SystemVState::Owner& owner = *segment.mutable_owner();
  const int mode = static_cast<int>(owner.mode() & 0777) | kOwnerMay;
  if (!there)
    CK_TRY(maker.make(maker.box(segment.creator()), kSegments, owner, SYS_shmget, segment.size(),
                      IPC_CREAT | IPC_EXCL | mode));
  proc::Mailbox& box = maker.box();
  const Attachment attachment = CK_TRY(Attachment::make(box, owner, 0));
  if (there)
    CK_TRY(box.call("empty " + name_of(kSegments, owner), SYS_madvise, attachment.begin(),
                    whole_pages(segment.size()), MADV_REMOVE));
  return write_content(maker, segment.object(), attachment.begin());
}

Status finish(proc::Mailbox& box, const SystemVState::Segment& segment) {
  const SystemVState::Owner& owner = segment.owner();
  CK_TRY(set_owner<shmid_ds>(box, kSegments, owner,
                             [](shmid_ds& all) -> ipc_perm& { return all.shm_perm; }));
  const std::string name = name_of(kSegments, owner);
  if (owner.mode() & SHM_LOCKED)
    CK_TRY(box.call("lock " + name, SYS_shmctl, kernels_id(owner), SHM_LOCK));
  if (segment.removed())
    CK_TRY(box.call("remove " + name, SYS_shmctl, kernels_id(owner), IPC_RMID, 0));
  return {};
}

}  // namespace ck::resources::system_v
