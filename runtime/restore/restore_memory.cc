#include "runtime/restore/restore_memory.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "runtime/base/sort_parts.h"
#include "runtime/image/chunk_key.h"
#include "runtime/image/page_buffer.h"
#include "runtime/image/pieces.h"
#include "runtime/proc/mem.h"
#include "runtime/restore/page_filler.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

namespace ck::restore {

using proc::Mailbox;

namespace {

// Runs the list when it is nearly full, so that callers just add.
class Batch {
 public:
  Batch(Mailbox& box, std::string what) : box_(box), what_(std::move(what)) { box_.clear(); }
  template <typename... Args>
  Status add(long number, Args... args) {
    if (box_.calls_left() == 0) CK_TRY(flush());
    box_.add(number, args...);
    return {};
  }
  Status flush() {
    CK_TRY(box_.run());
    CK_TRY(box_.expect_all(what_));
    box_.clear();
    return {};
  }

 private:
  Mailbox& box_;
  std::string what_;
};

std::vector<std::uint32_t> chunks_of(const image::Manifest& manifest, image::StreamId stream) {
  std::vector<std::uint32_t> result;
  for (int i = 0; i < manifest.chunks_size(); ++i)
    if (image::StreamId::unpack(manifest.chunks(i).stream()) == stream)
      result.push_back(static_cast<std::uint32_t>(i));
  return result;
}

constexpr std::size_t kPage = 4096;

const AddressRange* first_after(const std::vector<AddressRange>& ranges, std::uint64_t address) {
  const auto found =
      std::upper_bound(ranges.begin(), ranges.end(), address,
                       [](std::uint64_t at, const AddressRange& range) { return at < range.end; });
  return found == ranges.end() ? nullptr : &*found;
}

// Fills the memory of one process, chunk by chunk; any thread.
class Filling {
 public:
  static Result<Filling> begin(Mailbox& box, const image::Reader& reader,
                               const std::vector<MapStep>& steps, const KeptMemory* kept) {
    Filling filling(reader, CK_TRY(PageFiller::create(box, steps)),
                    CK_TRY(proc::ProcMem::open(box.pid())));
    if (kept != nullptr) filling.keep(*kept);
    return filling;
  }

  Status fill(std::uint32_t index, std::span<std::byte> buffer,
              std::span<std::byte> scratch) const {
    const image::ChunkRecord& chunk = reader_->manifest().chunks(static_cast<int>(index));
    std::vector<image::Piece> pieces = image::pieces_of(chunk);
    drop_present(chunk, pieces);
    if (pieces.empty()) return {};
    const std::span<std::byte> content = buffer.first(chunk.raw_size());
    CK_TRY(reader_->read_chunk(index, content));
    for (const image::Piece& piece : pieces)
      CK_TRY(fill_run(piece.begin, content.subspan(piece.at, piece.length), scratch));
    return {};
  }

 private:
  Filling(const image::Reader& reader, PageFiller filler, proc::ProcMem memory)
      : reader_(&reader), filler_(std::move(filler)), memory_(std::move(memory)) {}

  void keep(const KeptMemory& kept) {
    kept_ = kept.ranges;
    for (std::uint32_t index : chunks_of(kept.image, {image::StreamId::Kind::kMemory, kept.base})) {
      const image::ChunkRecord& chunk = kept.image.chunks(static_cast<int>(index));
      of_base_[key_of(chunk)].push_back(image::pieces_of(chunk));
    }
  }

  // Equal content has equal stored bytes, wherever they are.
  static image::ChunkKey key_of(const image::ChunkRecord& chunk) {
    return {{chunk.hash_low(), chunk.hash_high()}, chunk.raw_size()};
  }

  bool is_kept(const image::Piece& piece) const {
    const AddressRange* range = first_after(kept_, piece.begin);
    return range != nullptr && range->begin <= piece.begin &&
           piece.begin + piece.length <= range->end;
  }

  // Parts of the same chunk are in place already; these and `pieces` are in order.
  void drop_present(const image::ChunkRecord& chunk, std::vector<image::Piece>& pieces) const {
    const auto found = of_base_.find(key_of(chunk));
    if (found == of_base_.end()) return;
    for (const std::vector<image::Piece>& present : found->second) {
      auto there = present.begin();
      std::erase_if(pieces, [&](const image::Piece& piece) {
        const std::uint64_t end = piece.begin + piece.length;
        while (there != present.end() && there->begin + there->length < end) ++there;
        return there != present.end() && there->begin <= piece.begin &&
               there->begin - there->at == piece.begin - piece.at && is_kept(piece);
      });
    }
  }

  Status fill_run(std::uint64_t address, std::span<const std::byte> content,
                  std::span<std::byte> scratch) const {
    while (!content.empty()) {
      const AddressRange* range = first_after(kept_, address);
      const bool inside = range != nullptr && range->begin <= address;
      const std::uint64_t end = range == nullptr ? UINT64_MAX : inside ? range->end : range->begin;
      const std::span<const std::byte> piece =
          content.first(std::min<std::uint64_t>(content.size(), end - address));
      CK_TRY(inside ? write_differences(address, piece, scratch.first(piece.size()))
                    : filler_.fill(address, piece));
      address += piece.size();
      content = content.subspan(piece.size());
    }
    return {};
  }

  // A page that is written is no longer shared.
  Status write_differences(std::uint64_t address, std::span<const std::byte> content,
                           std::span<std::byte> present) const {
    CK_TRY(memory_.read(address, present));
    for (std::size_t at = 0; at < content.size(); at += kPage)
      if (std::memcmp(content.data() + at, present.data() + at, kPage) != 0)
        CK_TRY(memory_.write(address + at, content.subspan(at, kPage)));
    return {};
  }

  const image::Reader* reader_;
  PageFiller filler_;
  proc::ProcMem memory_;
  std::vector<AddressRange> kept_;
  std::unordered_map<image::ChunkKey, std::vector<std::vector<image::Piece>>, image::ChunkKeyHash>
      of_base_;
};

std::vector<AddressRange> pages_of(const image::Manifest& manifest, std::uint32_t process) {
  std::vector<AddressRange> pages;
  for (std::uint32_t index : chunks_of(manifest, {image::StreamId::Kind::kMemory, process})) {
    const image::ChunkRecord& chunk = manifest.chunks(static_cast<int>(index));
    for (int run = 0; run < chunk.run_begin_size(); ++run)
      pages.push_back({chunk.run_begin(run), chunk.run_begin(run) + chunk.run_length(run)});
  }
  sort_parts(pages, [](const auto& a, const auto& b) { return a.begin < b.begin; });
  return pages;
}

// Where the process has no page of its own, zeros or the file's content show through.
Status discard_surplus(Mailbox& box, const image::Manifest& manifest, std::uint32_t index,
                       const KeptMemory& kept) {
  Batch batch(box, "discard pages that were there before");
  for (const AddressRange& range :
       surplus(kept.ranges, pages_of(kept.image, kept.base), pages_of(manifest, index)))
    CK_TRY(batch.add(SYS_madvise, range.begin, range.end - range.begin, MADV_DONTNEED));
  return batch.flush();
}

// Before pages come: they decide in which size pages are allocated.
Status advise_page_size(Batch& batch, const std::vector<MapStep>& steps) {
  for (const MapStep& step : steps) {
    const image::MappingRecord& mapping = *step.mapping;
    const std::uint64_t size = mapping.end() - mapping.begin();
    if (mapping.advice() & image::ADVICE_HUGEPAGE)
      CK_TRY(batch.add(SYS_madvise, mapping.begin(), size, MADV_HUGEPAGE));
    if (mapping.advice() & image::ADVICE_NOHUGEPAGE)
      CK_TRY(batch.add(SYS_madvise, mapping.begin(), size, MADV_NOHUGEPAGE));
  }
  return batch.flush();
}

// Before Linux 6.11 there is only memory that is never dropped, which does as well.
int flags_here(const MapStep& step) {
  if ((step.flags & MAP_TYPE) != kMapDroppable) return step.flags;
  static const bool known = [] {
    void* page = ::mmap(nullptr, kPage, PROT_READ, kMapDroppable | MAP_ANONYMOUS, -1, 0);
    return page != MAP_FAILED && ::munmap(page, kPage) == 0;
  }();
  return known ? step.flags : (step.flags & ~MAP_TYPE) | MAP_PRIVATE;
}

// A segment of System V shared memory is attached as a whole, for the first of its mappings.
Status attach(Batch& batch, const MapStep& step, int segment, bool first) {
  const image::MappingRecord& mapping = *step.mapping;
  const int flags = mapping.writable_file() ? 0 : SHM_RDONLY;
  if (first) CK_TRY(batch.add(SYS_shmat, segment, mapping.begin() - mapping.offset(), flags));
  return batch.add(SYS_mprotect, mapping.begin(), mapping.end() - mapping.begin(),
                   step.first_protection);
}

constexpr struct {
  image::Advice advice;
  int madvise;
} kLateAdvice[] = {
    {image::ADVICE_DONTFORK, MADV_DONTFORK},     {image::ADVICE_DONTDUMP, MADV_DONTDUMP},
    {image::ADVICE_WIPEONFORK, MADV_WIPEONFORK}, {image::ADVICE_SEQUENTIAL, MADV_SEQUENTIAL},
    {image::ADVICE_RANDOM, MADV_RANDOM},         {image::ADVICE_MERGEABLE, MADV_MERGEABLE},
};

// Names are for people; a kernel without CONFIG_ANON_VMA_NAME refuses them, which does no harm.
Status name_mappings(Mailbox& box, const std::vector<MapStep>& steps) {
  constexpr std::string_view kPrefix = "[anon:";
  for (const MapStep& step : steps) {
    const image::MappingRecord& mapping = *step.mapping;
    if (!mapping.name().starts_with(kPrefix)) continue;
    const std::string name(
        mapping.name().substr(kPrefix.size(), mapping.name().size() - kPrefix.size() - 1));
    box.clear();
    box.add(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, mapping.begin(),
            mapping.end() - mapping.begin(), box.put_string(name));
    CK_TRY(box.run());
  }
  return {};
}

// Nothing of them can be changed any more.
Status seal_mappings(Mailbox& box, const std::vector<MapStep>& steps) {
  Batch batch(box, "seal a mapping");
  for (const MapStep& step : steps)
    if (step.mapping->sealed())
      CK_TRY(batch.add(SYS_mseal, step.mapping->begin(),
                       step.mapping->end() - step.mapping->begin(), 0));
  return batch.flush();
}

}  // namespace

Status map_all(Mailbox& box, const std::vector<MapStep>& steps, MappedFiles& files) {
  Batch batch(box, "make a mapping of the image");
  std::set<std::uint64_t> attached;
  for (const MapStep& step : steps) {
    const image::MappingRecord& mapping = *step.mapping;
    if (const int segment = files.system_v_segment(step.object); segment >= 0) {
      const bool first = attached.insert(mapping.begin() - mapping.offset()).second;
      const int id = box.area().real_id(abi::SystemVFamily::kSegments, segment);
      CK_TRY(attach(batch, step, id, first));
      continue;
    }
    int fd = -1;
    if (step.object != 0) {
      CK_TRY(batch.flush());
      fd = CK_TRY(files.descriptor(box, step.object, mapping));
      box.clear();
    }
    CK_TRY(batch.add(SYS_mmap, mapping.begin(), mapping.end() - mapping.begin(),
                     step.first_protection, flags_here(step), fd, mapping.offset()));
  }
  CK_TRY(batch.flush());
  return advise_page_size(batch, steps);
}

Status unmap_all(Mailbox& box, const std::vector<AddressRange>& ranges) {
  Batch batch(box, "unmap what was there before");
  for (const AddressRange& range : ranges)
    CK_TRY(batch.add(SYS_munmap, range.begin, range.end - range.begin));
  return batch.flush();
}

Status fill_memory(Mailbox& box, const image::Reader& reader, std::uint32_t index,
                   const std::vector<MapStep>& steps, const KeptMemory* kept, unsigned threads,
                   image::Progress* progress) {
  const std::vector<std::uint32_t> chunks =
      chunks_of(reader.manifest(), {image::StreamId::Kind::kMemory, index});
  const Filling filling = CK_TRY(Filling::begin(box, reader, steps, kept));
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Status first_failure;
  auto work = [&] {
    Result<image::PageBuffer> buffer = image::PageBuffer::create(image::kChunkBytes);
    std::vector<std::byte> scratch(kept != nullptr ? image::kChunkBytes : 0);
    for (std::size_t i; (i = next.fetch_add(1)) < chunks.size();) {
      Status filled =
          buffer.ok() ? filling.fill(chunks[i], buffer->span(), scratch) : Status(buffer.error());
      if (progress != nullptr)
        progress->advance(reader.manifest().chunks(static_cast<int>(chunks[i])).raw_size());
      if (filled.ok()) continue;
      const std::lock_guard lock(mutex);
      if (first_failure.ok()) first_failure = std::move(filled);
      next = chunks.size();
    }
  };
  std::vector<std::jthread> pool;
  for (unsigned i = 1; i < std::min<std::size_t>(threads, chunks.size()); ++i)
    pool.emplace_back(work);
  work();
  pool.clear();
  CK_TRY(std::move(first_failure));
  return kept != nullptr ? discard_surplus(box, reader.manifest(), index, *kept) : Status();
}

Status finish_mappings(Mailbox& box, const std::vector<MapStep>& steps) {
  Batch batch(box, "set protection or advice of a mapping");
  for (const MapStep& step : steps) {
    const image::MappingRecord& mapping = *step.mapping;
    const std::uint64_t begin = mapping.begin();
    const std::uint64_t size = mapping.end() - begin;
    for (const auto& row : kLateAdvice)
      if (mapping.advice() & row.advice) CK_TRY(batch.add(SYS_madvise, begin, size, row.madvise));
    for (int i = 0; i < mapping.guard_begin_size(); ++i)
      CK_TRY(batch.add(SYS_madvise, mapping.guard_begin(i),
                       mapping.guard_end(i) - mapping.guard_begin(i), MADV_GUARD_INSTALL));
    if (needs_protect(step)) CK_TRY(batch.add(SYS_mprotect, begin, size, mapping.protection()));
    if (mapping.locked())
      CK_TRY(batch.add(SYS_mlock2, begin, size, mapping.lock_on_fault() ? MLOCK_ONFAULT : 0));
  }
  CK_TRY(batch.flush());
  CK_TRY(name_mappings(box, steps));
  return seal_mappings(box, steps);
}

}  // namespace ck::restore
