#include "runtime/resources/io_uring_ring.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/proc/fdinfo.h"
#include "runtime/proc/pagemap.h"
#include "runtime/proc/text_cursor.h"

namespace ck::resources {
namespace {

constexpr std::size_t kPage = proc::kPageBytes;

std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

Result<std::pair<UniqueFd, io_uring_params>> set_up(std::uint32_t flags, std::uint32_t submission,
                                                    std::uint32_t completion) {
  io_uring_params params{};
  params.flags = flags | IORING_SETUP_CQSIZE;
  params.cq_entries = completion;
  UniqueFd fd(static_cast<int>(::syscall(SYS_io_uring_setup, submission, &params)));
  if (!fd) return sys_error("set up an io_uring");
  return std::pair(std::move(fd), params);
}

Result<std::span<std::byte>> map_part(int fd, std::size_t bytes, std::uint64_t offset) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                        static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return sys_error("map an io_uring");
  return std::span(static_cast<std::byte*>(memory), bytes);
}

void unmap(std::span<std::byte> part) {
  if (!part.empty()) ::munmap(part.data(), part.size());
}

// Memory of a ring as long as it may be. A longer mapping than there is memory is allowed (or not,
// by kernel); behind the end is SIGBUS.
class Extent {
 public:
  static Result<Extent> map(int fd, std::size_t bytes, std::uint64_t offset) {
    Result<std::span<std::byte>> whole = map_part(fd, whole_pages(bytes), offset);
    if (!whole.ok() && whole.error().errnum != EINVAL) return std::move(whole).error();
    return Extent(whole.ok() ? *whole : std::span<std::byte>());
  }
  Extent(Extent&& other) noexcept : part_(std::exchange(other.part_, {})) {}
  Extent& operator=(Extent&&) = delete;
  ~Extent() { unmap(part_); }

  bool is_whole() const {
    if (part_.empty()) return false;
    std::byte value{};
    iovec here{&value, 1};
    iovec there{&part_.back(), 1};
    return ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) == 1;
  }
  bool is_used(std::size_t begin, std::size_t end) const {
    return is_whole() && std::any_of(part_.begin() + static_cast<std::ptrdiff_t>(begin),
                                     part_.begin() + static_cast<std::ptrdiff_t>(end),
                                     [](std::byte byte) { return byte != std::byte{0}; });
  }

 private:
  explicit Extent(std::span<std::byte> part) : part_(part) {}
  std::span<std::byte> part_;
};

std::uint32_t load(const std::uint32_t& word) {
  return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

// Another value for a word of the program's, until the end of the scope.
class Lent {
 public:
  Lent(std::uint32_t& word, std::uint32_t value) : word_(word), before_(load(word)) {
    __atomic_store_n(&word_, value, __ATOMIC_RELEASE);
  }
  ~Lent() { __atomic_store_n(&word_, before_, __ATOMIC_RELEASE); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

 private:
  std::uint32_t& word_;
  std::uint32_t before_;
};

std::string_view between(std::string_view text, std::string_view begin, std::string_view end) {
  const std::size_t from = text.find(begin);
  const std::size_t line = from == text.npos ? from : text.find('\n', from);
  if (line == text.npos) return {};
  return text.substr(line, text.find(end, line) - line);
}

std::uint32_t field(std::string_view text, std::string_view name, int base = 10) {
  std::string_view value = proc::fdinfo_field(text, name);
  if (base == 16 && value.starts_with("0x")) value.remove_prefix(2);
  return proc::TextCursor(value).number<std::uint32_t>(base);
}

// Whether fdinfo shows what is in a list: the lines below its name are indented.
bool has_lines(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == text.npos) return false;
  const std::size_t next = at + name.size();
  return text.substr(next).starts_with("\n ");
}

}  // namespace

Result<RingLayout> RingLayout::of(std::uint32_t flags, std::uint32_t submission_entries,
                                  std::uint32_t completion_entries) {
  auto [fd, params] = CK_TRY(set_up(flags, submission_entries, completion_entries));
  return RingLayout{flags, submission_entries, completion_entries, params.sq_off, params.cq_off};
}

std::size_t RingLayout::rings_size() const {
  const std::size_t entries = cq.cqes + completion_bytes() * completion_entries;
  if (flags & kSetupNoSqArray) return entries;
  return std::max<std::size_t>(entries, sq.array + sizeof(std::uint32_t) * submission_entries);
}

std::size_t RingLayout::requests_size() const {
  return request_bytes() * submission_entries;
}

std::string RingLayout::offsets() const {
  return std::string(reinterpret_cast<const char*>(&sq), sizeof sq) +
         std::string(reinterpret_cast<const char*>(&cq), sizeof cq);
}

Result<Ring> Ring::open(UniqueFd fd) {
  Ring ring(std::move(fd));
  const proc::FdInfo info = CK_TRY(proc::read_fdinfo(RealPid(::getpid()), ring.fd()));
  ring.submission_entries_ = field(info.text, "SqMask", 16) + 1;
  ring.completion_entries_ = field(info.text, "CqMask", 16) + 1;
  if (info.text.find("CachedSqHead") == std::string::npos ||
      info.text.find("CachedCqTail") == std::string::npos)
    return make_error(ErrorKind::kRefused, "this kernel does not tell how far an io_uring is",
                      "Linux 5.19 and later do");
  static const Result<RingLayout> base = RingLayout::of(0, 1, 2);
  if (!base.ok()) return base.error();
  ring.base_ = *base;
  ring.header_ = CK_TRY(map_part(ring.fd(), kPage, IORING_OFF_SQ_RING));
  return ring;
}

Result<Ring> Ring::create() {
  return open(CK_TRY(set_up(0, 1, 2)).first);
}

Ring::Ring(Ring&& other) noexcept
    : fd_(std::move(other.fd_)),
      base_(other.base_),
      submission_entries_(other.submission_entries_),
      completion_entries_(other.completion_entries_),
      header_(std::exchange(other.header_, {})),
      rings_(std::exchange(other.rings_, {})),
      requests_(std::exchange(other.requests_, {})) {}

Ring::~Ring() {
  for (std::span<std::byte> part : {header_, rings_, requests_}) unmap(part);
}

std::uint32_t& Ring::word(std::uint32_t offset) const {
  return *reinterpret_cast<std::uint32_t*>(header_.data() + offset);
}

Result<RingState> Ring::state() const {
  RingState state;
  state.text = CK_TRY(proc::read_fdinfo(RealPid(::getpid()), fd())).text;
  const std::string& text = state.text;
  state.taken = field(text, "CachedSqHead");
  state.offered = field(text, "SqTail");
  state.completed = field(text, "CachedCqTail");
  state.seen = field(text, "CqHead");
  state.dropped = load(word(base_.sq.dropped));
  state.lost = load(word(base_.cq.overflow));
  state.needs_wakeup = (load(word(base_.sq.flags)) & IORING_SQ_NEED_WAKEUP) != 0;
  // Without the ring's lock, for which fdinfo does not wait, all this is left out.
  if (text.find("PollList:") == std::string::npos ||
      text.find("CqOverflowList:") == std::string::npos)
    state.listed = true;
  state.listed |= has_lines(text, "PollList:") || has_lines(text, "CqOverflowList:");
  const std::string_view thread = proc::fdinfo_field(text, "SqThread");
  if (!thread.empty() && thread[0] != '-')
    state.polling_thread = static_cast<int>(field(text, "SqThread"));
  return state;
}

bool Ring::has_big_completions(const RingState& now) const {
  const Lent head(word(base_.cq.head), now.completed - 1);
  const Result<RingState> shown = state();
  return shown.ok() &&
         between(shown->text, "CQEs:", "SqThread:").find("extra1:") != std::string_view::npos;
}

Result<RingLayout> Ring::find_layout() {
  const RingState now = CK_TRY(state());
  const std::uint32_t big = has_big_completions(now) ? IORING_SETUP_CQE32 : 0;
  const auto with = [&](std::uint32_t flags) {
    return RingLayout::of(big | flags, submission_entries_, completion_entries_);
  };
  const RingLayout plain = CK_TRY(with(0));
  const RingLayout wide = CK_TRY(with(IORING_SETUP_SQE128));
  const Result<RingLayout> bare = with(kSetupNoSqArray);
  if (!bare.ok() && bare.error().errnum != EINVAL) return bare.error();

  const Extent rings = CK_TRY(Extent::map(fd(), plain.rings_size(), IORING_OFF_SQ_RING));
  const Extent requests = CK_TRY(Extent::map(fd(), wide.requests_size(), IORING_OFF_SQES));
  // Where the sizes do not differ in pages, what has been used may tell.
  std::optional<bool> has_array, is_wide;
  if (!bare.ok())
    has_array = true;
  else if (whole_pages(bare->rings_size()) != whole_pages(plain.rings_size()))
    has_array = rings.is_whole();
  else if (rings.is_used(plain.sq.array, plain.rings_size()))
    has_array = true;
  if (whole_pages(plain.requests_size()) != whole_pages(wide.requests_size()))
    is_wide = requests.is_whole();
  else if (requests.is_used(plain.requests_size(), wide.requests_size()))
    is_wide = true;
  if (!has_array || (!is_wide && now.polling_thread < 0)) {
    if (now.polling_thread >= 0 && !now.needs_wakeup)
      return make_error(ErrorKind::kTryAgain,
                        "how it was set up cannot be seen while its polling thread is awake")
          .that_passes();
    const Lent tail(word(base_.sq.tail), now.taken + 1);
    const RingState shown = CK_TRY(state());
    const std::string_view lines = between(shown.text, "SQEs:", "CQEs:");
    if (!has_array) has_array = lines.find("opcode:") != lines.npos;
    if (!is_wide) is_wide = lines.find(", e0:") != lines.npos;
  }
  return with((*has_array ? 0 : kSetupNoSqArray) |
              (is_wide.value_or(false) ? IORING_SETUP_SQE128 : 0));
}

Status Ring::map(const RingLayout& layout) {
  rings_ = CK_TRY(map_part(fd(), whole_pages(layout.rings_size()), IORING_OFF_SQ_RING));
  requests_ = CK_TRY(map_part(fd(), whole_pages(layout.requests_size()), IORING_OFF_SQES));
  return {};
}

int Ring::enter(unsigned submit, unsigned flags) const {
  const long result = ::syscall(SYS_io_uring_enter, fd(), submit, 0, flags, nullptr, 0);
  return result < 0 ? -errno : static_cast<int>(result);
}

int Ring::ask(unsigned operation, std::uint64_t argument, unsigned count) const {
  const long result = ::syscall(SYS_io_uring_register, fd(), operation, argument, count);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace ck::resources
