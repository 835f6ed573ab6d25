#include "runtime/proc/control_area.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <chrono>
#include <cstring>
#include <thread>

namespace ck {

using abi::AreaHeader;

namespace {

// Parked threads look after the supervisor five times a second (abi/serve.h).
constexpr std::chrono::milliseconds kOrphanTime{500};
// Of the header, at its beginning and its end: all but the table of ids.
constexpr std::uint64_t kHeaderBytes = 4096;
static_assert(abi::kSlotsOffset - offsetof(AreaHeader, namespaces) <= kHeaderBytes);
static_assert(offsetof(AreaHeader, ids) + offsetof(abi::IdTable, keys) <= kHeaderBytes);

static_assert(sizeof(pthread_mutex_t) <= sizeof(AreaHeader::owner_mutex));

pthread_mutex_t* owner_mutex(AreaHeader* header) {
  return reinterpret_cast<pthread_mutex_t*>(header->owner_mutex);
}

// glibc keeps the lock word first (nptl/pthread_mutex_init, __data.__lock at offset 0): the kernel
// marks that word when its holder dies (robust futexes, get_robust_list(2)).
void become_first_owner(AreaHeader* header) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(owner_mutex(header), &attributes);
  pthread_mutexattr_destroy(&attributes);
  pthread_mutex_lock(owner_mutex(header));
  header->owner_word_offset = offsetof(AreaHeader, owner_mutex);
}

Result<AreaHeader*> map_whole(int fd, std::size_t size, const std::string& path) {
  void* where = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (where == MAP_FAILED) return sys_error("map control area " + path);
  return static_cast<AreaHeader*>(where);
}

std::string random_name() {
  unsigned char bytes[8];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes) std::memset(bytes, 0, sizeof bytes);
  std::string name = "/ckrun-";
  for (unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

// Threads that the dead supervisor had parked find out for themselves, as long as nobody has taken
// its place, and go on (or, a twin, end). One that was diverted but has not arrived must not stay
// either.
Result<bool> await_orphans(int fd, AreaHeader* header) {
  bool waited = false;
  for (unsigned i = 0; i < header->slot_count; ++i) {
    // Not through the mapping: that would give every unused slot of the sparse file a page.
    std::uint32_t state = abi::kFree;
    const auto offset = static_cast<off_t>(abi::kSlotsOffset + std::uint64_t{i} * abi::kSlotStride);
    if (::pread(fd, &state, sizeof state, offset) != sizeof state)
      return make_error(ErrorKind::kRefused, "the control area is shorter than it says");
    if (state == abi::kFree) continue;
    if (!waited) std::this_thread::sleep_for(kOrphanTime);
    waited = true;
    std::uint32_t arriving = abi::kArriving;
    __atomic_compare_exchange_n(&abi::slot_at(header, i)->state, &arriving, abi::kRelease, false,
                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  }
  return waited;
}

}  // namespace

Result<ControlArea> ControlArea::create(const std::string& directory, const std::string& agent_path,
                                        unsigned slots, int request_signal) {
  ControlArea area;
  area.path_ = directory + random_name();
  const std::string variable = std::string(abi::kAreaVariable) + "=" + area.path_;
  if (variable.size() >= abi::kPathBytes || agent_path.size() >= abi::kPathBytes)
    return make_error(ErrorKind::kUsage,
                      "path of control area or agent is too long: " + agent_path);
  area.fd_.reset(
      ::open(area.path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!area.fd_) return sys_error("create control area " + area.path_);
  const std::size_t size = abi::kSlotsOffset + std::size_t{slots} * abi::kSlotStride;
  if (::ftruncate(area.fd_.get(), static_cast<off_t>(size)) != 0)
    return sys_error("size control area " + area.path_);
  CK_TRY(area.allocate(0, kHeaderBytes));
  CK_TRY(area.allocate(abi::kSlotsOffset - kHeaderBytes, abi::kSlotsOffset));
  area.header_ = CK_TRY(map_whole(area.fd_.get(), size, area.path_));
  AreaHeader* header = area.header_;
  header->version = abi::kVersion;
  header->slot_count = slots;
  header->slots_offset = abi::kSlotsOffset;
  header->size = size;
  header->request_signal = request_signal;
  std::strcpy(header->path, area.path_.c_str());
  std::strcpy(header->agent, agent_path.c_str());
  std::strcpy(header->variable, variable.c_str());
  become_first_owner(header);
  header->magic = abi::kMagic;
  return area;
}

Status ControlArea::reserve(unsigned slots) {
  if (slots <= reserved_) return {};
  CK_TRY(allocate(abi::kSlotsOffset, abi::kSlotsOffset + std::uint64_t{slots} * abi::kSlotStride));
  reserved_ = slots;
  return {};
}

Status ControlArea::reserve_ids() {
  return allocate(0, abi::kSlotsOffset);
}

// Some file systems cannot (NFS, fallocate(2)); what is there already costs no room.
Status ControlArea::allocate(std::uint64_t begin, std::uint64_t end) {
  int done = 0;
  do {
    done = ::fallocate(fd_.get(), 0, static_cast<off_t>(begin), static_cast<off_t>(end - begin));
  } while (done != 0 && errno == EINTR);
  if (done == 0 || errno == EOPNOTSUPP) return {};
  Error error = sys_error("reserve " + std::to_string((end - begin + 1023) / 1024) +
                          " KiB for control area " + path_);
  const std::string folder = path_.substr(0, path_.rfind('/'));
  struct statvfs room {};
  if (::statvfs(folder.c_str(), &room) == 0)
    error.message += ", in " + folder + " are " +
                     std::to_string(room.f_bavail * room.f_frsize / 1024) + " KiB free";
  return std::move(error).with_hint("make room in " + folder);
}

unsigned ControlArea::slots_of_size(std::uint64_t size) {
  constexpr std::uint64_t kMost = 1u << 20;
  if (size < abi::kSlotsOffset || (size - abi::kSlotsOffset) % abi::kSlotStride != 0) return 0;
  const std::uint64_t slots = (size - abi::kSlotsOffset) / abi::kSlotStride;
  return slots > kMost ? 0 : static_cast<unsigned>(slots);
}

Result<ControlArea> ControlArea::map_existing(const std::string& path) {
  ControlArea area;
  area.path_ = path;
  area.remove_file_ = false;  // not ours yet
  area.fd_.reset(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!area.fd_) return sys_error("open control area " + path);
  struct stat status {};
  if (::fstat(area.fd_.get(), &status) != 0) return sys_error("stat control area " + path);
  if (status.st_uid != ::geteuid() && ::geteuid() != 0)
    return make_error(ErrorKind::kPermission, "control area " + path + " belongs to another user");
  const std::size_t size = static_cast<std::size_t>(status.st_size);
  if (size < sizeof(AreaHeader))
    return make_error(ErrorKind::kRefused, path + " is no control area");
  area.header_ = CK_TRY(map_whole(area.fd_.get(), size, path));
  const AreaHeader* header = area.header_;
  if (header->magic != abi::kMagic || header->version != abi::kVersion || header->size != size)
    return make_error(ErrorKind::kRefused, path + " is a control area of another version of ckrun");
  return area;
}

Result<bool> ControlArea::await_orphans(const std::string& path) {
  const ControlArea area = CK_TRY(map_existing(path));
  return ck::await_orphans(area.fd_.get(), area.header_);
}

Result<ControlArea> ControlArea::adopt(const std::string& path) {
  ControlArea area = CK_TRY(map_existing(path));
  CK_TRY(ck::await_orphans(area.fd_.get(), area.header_));
  const int locked = ::pthread_mutex_trylock(owner_mutex(area.header_));
  if (locked == EOWNERDEAD) {
    ::pthread_mutex_consistent(owner_mutex(area.header_));
  } else if (locked != 0) {
    return make_error(ErrorKind::kTryAgain, "control area " + path + " has a living supervisor");
  }
  area.remove_file_ = true;
  return area;
}

Result<ino_t> ControlArea::inode() const {
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return sys_error("stat control area " + path_);
  return status.st_ino;
}

ControlArea::ControlArea(ControlArea&& other) noexcept {
  *this = std::move(other);
}

ControlArea& ControlArea::operator=(ControlArea&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(header_, other.header_);
  std::swap(remove_file_, other.remove_file_);
  std::swap(reserved_, other.reserved_);
  return *this;
}

// The mapping and the held mutex stay: agents must not take an orderly end for a free lock.
ControlArea::~ControlArea() {
  if (fd_ && remove_file_) ::unlink(path_.c_str());
}

}  // namespace ck
