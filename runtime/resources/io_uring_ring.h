// One io_uring as the engine sees it through a descriptor of its own: counters, memory, and the
// layout that it was set up with. Engine thread only.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::resources {

// What <linux/io_uring.h> of Linux 6.1 has not yet.
inline constexpr std::uint32_t kSetupNoSqArray = 1u << 16;  // IORING_SETUP_NO_SQARRAY, 6.6
inline constexpr unsigned kRegisterBufferStatus = 26;       // IORING_REGISTER_PBUF_STATUS, 6.8
inline constexpr unsigned kRegisterNapi = 27;               // IORING_REGISTER_NAPI, 6.9
inline constexpr std::uint32_t kCqeSkip = 1u << 5;          // IORING_CQE_F_SKIP, 6.18
inline constexpr std::uint32_t kCqeBig = 1u << 15;          // IORING_CQE_F_32, 6.18

// Those that decide how the memory looks.
inline constexpr std::uint32_t kLayoutFlags =
    IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | kSetupNoSqArray;

// How the memory of a ring looks on this kernel.
struct RingLayout {
  std::uint32_t flags = 0;  // of kLayoutFlags
  std::uint32_t submission_entries = 0, completion_entries = 0;
  io_sqring_offsets sq{};
  io_cqring_offsets cq{};

  // By setting one up. An Error if this kernel does not know the flags.
  static Result<RingLayout> of(std::uint32_t flags, std::uint32_t submission_entries,
                               std::uint32_t completion_entries);
  std::size_t completion_bytes() const { return flags & IORING_SETUP_CQE32 ? 32 : 16; }
  std::size_t request_bytes() const { return flags & IORING_SETUP_SQE128 ? 128 : 64; }
  std::size_t rings_size() const;     // of both rings, bytes
  std::size_t requests_size() const;  // of the requests
  std::string offsets() const;        // both structures, for the image
};

// The counters, and what is in flight as far as it is shown. All count modulo 2^32.
struct RingState {
  std::uint32_t taken = 0;      // requests, by the kernel
  std::uint32_t offered = 0;    // by the program: the tail of the submission ring
  std::uint32_t completed = 0;  // completions that the kernel has put in
  std::uint32_t seen = 0;       // by the program: the head of the completion ring
  std::uint32_t dropped = 0;    // requests with an impossible place
  std::uint32_t lost = 0;       // completions
  bool listed = false;          // a request or completion stands in one of the kernel's lists
  bool needs_wakeup = false;    // the polling thread sleeps
  int polling_thread = -1;      // -1: none
  std::string text;             // fdinfo

  std::uint32_t in_flight() const { return (taken - dropped) - (completed + lost); }
  std::uint32_t waiting() const { return offered - taken; }
};

class Ring {
 public:
  static Result<Ring> open(UniqueFd fd);
  static Result<Ring> create();  // a small one of the engine's own
  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&&) = delete;
  ~Ring();

  int fd() const { return fd_.get(); }
  std::uint32_t submission_entries() const { return submission_entries_; }
  std::uint32_t completion_entries() const { return completion_entries_; }
  Result<RingState> state() const;
  // The program must stand still. Moves the program's two counters for a moment to see what fdinfo
  // then shows. An Error that_passes() while a polling thread that is awake would see it.
  Result<RingLayout> find_layout();

  // Maps all of the memory; once.
  Status map(const RingLayout& layout);
  std::span<std::byte> rings() const { return rings_; }
  std::span<std::byte> requests() const { return requests_; }
  std::uint32_t& word(std::uint32_t offset) const;  // of the rings' memory

  // System calls of the engine itself; -errno.
  int enter(unsigned submit, unsigned flags) const;
  int ask(unsigned operation, std::uint64_t argument, unsigned count) const;

 private:
  explicit Ring(UniqueFd fd) : fd_(std::move(fd)) {}
  bool has_big_completions(const RingState& now) const;
  UniqueFd fd_;
  RingLayout base_;  // offsets that all rings have in common
  std::uint32_t submission_entries_ = 0, completion_entries_ = 0;
  std::span<std::byte> header_, rings_, requests_;
};

}  // namespace ck::resources
