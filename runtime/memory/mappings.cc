#include "runtime/memory/mappings.h"

#include <sys/sysmacros.h>

#include <map>
#include <utility>

namespace ck::memory {

namespace {

bool is_zero_device(const proc::Mapping& mapping) {
  return mapping.path == "/dev/zero";
}

Classified classify_file(const proc::Mapping& mapping) {
  if (mapping.vm_flags & proc::kVmHugeTlb) {
    if (!mapping.shared && mapping.path.starts_with("/anon_hugepage"))
      return {Class::kAnonymous, ""};
    return {Class::kUnsupported, "shared or named huge TLB pages are not supported"};
  }
  if (is_zero_device(mapping))
    return {mapping.shared ? Class::kSharedMemory : Class::kAnonymous, ""};
  if (mapping.path.starts_with("/memfd:"))
    return {mapping.shared ? Class::kSharedMemory : Class::kDeletedPrivate, ""};
  if (mapping.path.starts_with("/SYSV") && mapping.deleted) return {Class::kSystemV, ""};
  if (mapping.path == "/[aio]")
    return {Class::kUnsupported, "an asynchronous I/O context (io_setup) is not supported"};
  if (mapping.path.starts_with("/dev/") && !mapping.path.starts_with("/dev/shm/"))
    return {Class::kUnsupported, "memory of a device cannot be saved"};
  if (mapping.deleted) return {mapping.shared ? Class::kDeletedShared : Class::kDeletedPrivate, ""};
  return {mapping.shared ? Class::kSharedFile : Class::kPrivateFile, ""};
}

std::uint32_t advice_of(std::uint64_t flags) {
  const struct {
    std::uint64_t flag;
    image::Advice advice;
  } table[] = {
      {proc::kVmDontFork, image::ADVICE_DONTFORK},
      {proc::kVmDontDump, image::ADVICE_DONTDUMP},
      {proc::kVmWipeOnFork, image::ADVICE_WIPEONFORK},
      {proc::kVmHugePage, image::ADVICE_HUGEPAGE},
      {proc::kVmNoHugePage, image::ADVICE_NOHUGEPAGE},
      {proc::kVmSequential, image::ADVICE_SEQUENTIAL},
      {proc::kVmRandom, image::ADVICE_RANDOM},
      {proc::kVmMergeable, image::ADVICE_MERGEABLE},
  };
  std::uint32_t advice = 0;
  for (const auto& row : table)
    if (flags & row.flag) advice |= static_cast<std::uint32_t>(row.advice);
  return advice;
}

}  // namespace

Classified classify(const proc::Mapping& mapping, ino_t area_inode) {
  if (mapping.path == "[vsyscall]") return {Class::kSkip, ""};
  if (mapping.path == "[vdso]") return {Class::kVdso, ""};
  if (mapping.path.starts_with("[vvar")) return {Class::kVvar, ""};
  if (mapping.inode != 0 && mapping.inode == area_inode &&
      mapping.path.find("ckrun-") != std::string::npos)
    return {Class::kSkip, ""};
  if (mapping.vm_flags & (proc::kVmIo | proc::kVmPfnMap))
    return {Class::kUnsupported, "memory of a device cannot be saved"};
  if (mapping.vm_flags & proc::kVmShadowStack)
    return {Class::kUnsupported, "shadow stacks are not supported"};
  if (mapping.path == "anon_inode:[io_uring]" && mapping.shared) return {Class::kIoUring, ""};
  if (mapping.path.starts_with("anon_inode:"))
    return {Class::kUnsupported, "a mapping of " + mapping.path + " is not supported"};
  if (mapping.inode == 0 && !mapping.deleted && !mapping.path.starts_with("/"))
    return {mapping.shared ? Class::kUnsupported : Class::kAnonymous,
            mapping.shared ? "an unknown kind" : ""};
  return classify_file(mapping);
}

bool needs_object(Class kind) {
  return kind == Class::kPrivateFile || kind == Class::kSharedFile ||
         kind == Class::kSharedMemory || kind == Class::kSystemV || kind == Class::kDeletedShared;
}

Status check_attachments(const image::ProcessRecord& process, const image::Manifest& manifest) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> attached;  // bytes, by place
  for (const image::MappingRecord& mapping : process.mappings()) {
    if (mapping.object() == 0 || manifest.objects(static_cast<int>(mapping.object()) - 1).kind() !=
                                     image::ObjectRecord::SYSTEM_V)
      continue;
    attached[{mapping.object(), mapping.begin() - mapping.offset()}] +=
        mapping.end() - mapping.begin();
  }
  for (const auto& [place, bytes] : attached) {
    const image::ObjectRecord& segment = manifest.objects(static_cast<int>(place.first) - 1);
    if (bytes == segment.size()) continue;
    return make_error(ErrorKind::kRefused, "of the attached System V segment " +
                                               std::to_string(segment.inode()) +
                                               " only a part is mapped");
  }
  return {};
}

image::MappingRecord to_record(const proc::Mapping& mapping, Class kind) {
  image::MappingRecord record;
  record.set_begin(mapping.begin);
  record.set_end(mapping.end);
  record.set_protection(static_cast<std::uint32_t>(mapping.prot));
  record.set_shared(mapping.shared);
  record.set_name(mapping.path);
  switch (kind) {
    case Class::kVdso:
      record.set_backing(image::BACKING_VDSO);
      return record;
    case Class::kVvar:
      record.set_backing(image::BACKING_VVAR);
      return record;
    case Class::kAnonymous:
    case Class::kDeletedPrivate:
      record.set_backing(image::BACKING_ANONYMOUS);
      break;
    default:
      record.set_backing(kind == Class::kIoUring ? image::BACKING_IO_URING : image::BACKING_FILE);
      record.set_offset(mapping.offset);
  }
  record.set_grows_down(mapping.vm_flags & proc::kVmGrowsDown);
  record.set_locked(mapping.vm_flags & proc::kVmLocked);
  record.set_lock_on_fault(mapping.vm_flags & proc::kVmLockOnFault);
  record.set_no_reserve(mapping.vm_flags & proc::kVmNoReserve);
  record.set_huge_tlb(mapping.vm_flags & proc::kVmHugeTlb);
  record.set_writable_file(mapping.vm_flags & proc::kVmMayWrite);
  record.set_advice(advice_of(mapping.vm_flags));
  record.set_sealed(mapping.vm_flags & proc::kVmSealed);
  record.set_droppable(mapping.vm_flags & proc::kVmDroppable);
  return record;
}

}  // namespace ck::memory
