// io_uring by system calls alone, for guests.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>

#include "guest.h"

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1u << 16)
#endif

struct guest_completion {  // struct io_uring_cqe, without what follows it in large ones
  uint64_t user_data;
  int32_t res;
  uint32_t flags;
};

struct guest_ring {
  int fd;
  struct io_uring_params setup;
  char *rings, *requests;
  unsigned next;  // request: what the program believes the submission ring's tail to be
  unsigned seen;  // completion: and the completion ring's head
};

static inline unsigned* ring_word(struct guest_ring* ring, unsigned offset) {
  return (unsigned*)(ring->rings + offset);
}
static inline unsigned ring_load(struct guest_ring* ring, unsigned offset) {
  return __atomic_load_n(ring_word(ring, offset), __ATOMIC_ACQUIRE);
}
static inline void ring_store(struct guest_ring* ring, unsigned offset, unsigned value) {
  __atomic_store_n(ring_word(ring, offset), value, __ATOMIC_RELEASE);
}

static inline void* ring_map(struct guest_ring* ring, size_t size, long offset) {
  void* memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, offset);
  if (memory == MAP_FAILED) guest_fail("map a ring");
  return memory;
}

// `idle`: of a polling thread, milliseconds until it sleeps; 0: a second.
static inline struct guest_ring ring_open_polled(unsigned entries, unsigned flags, unsigned idle) {
  struct guest_ring ring;
  memset(&ring, 0, sizeof ring);
  ring.setup.flags = flags;
  ring.setup.sq_thread_idle = idle;
  ring.fd = (int)syscall(SYS_io_uring_setup, entries, &ring.setup);
  if (ring.fd < 0) guest_skip("no such io_uring on this machine");
  size_t size = ring.setup.cq_off.cqes +
                ring.setup.cq_entries * (flags & IORING_SETUP_CQE32 ? 32u : 16u) +
                (flags & IORING_SETUP_NO_SQARRAY ? 0 : ring.setup.sq_entries * 4u + 64u);
  ring.rings = ring_map(&ring, size, IORING_OFF_SQ_RING);
  ring.requests =
      ring_map(&ring, ring.setup.sq_entries * (flags & IORING_SETUP_SQE128 ? 128u : 64u),
               (long)IORING_OFF_SQES);
  return ring;
}

static inline struct guest_ring ring_open(unsigned entries, unsigned flags) {
  return ring_open_polled(entries, flags, 0);
}

// The next request, zeroed but for its code and its mark; not submitted yet.
static inline struct io_uring_sqe* ring_request(struct guest_ring* ring, int code, uint64_t mark) {
  unsigned place = ring->next & (ring->setup.sq_entries - 1);
  size_t size = ring->setup.flags & IORING_SETUP_SQE128 ? 128 : 64;
  struct io_uring_sqe* request = (struct io_uring_sqe*)(ring->requests + place * size);
  memset(request, 0, size);
  request->opcode = (unsigned char)code;
  request->user_data = mark;
  if (!(ring->setup.flags & IORING_SETUP_NO_SQARRAY))
    ring_word(ring, ring->setup.sq_off.array)[place] = place;
  ring->next++;
  return request;
}

static inline int ring_enter(struct guest_ring* ring, unsigned submit, unsigned wait) {
  int result;
  do
    result = (int)guest_raw(SYS_io_uring_enter, ring->fd, submit, wait,
                            wait ? IORING_ENTER_GETEVENTS : 0, 0, 0);
  while (result == -EINTR && submit == 0);
  return result;
}

// Everything that was asked for so far goes to the kernel.
static inline void ring_submit(struct guest_ring* ring) {
  unsigned count = ring->next - ring_load(ring, ring->setup.sq_off.head);
  ring_store(ring, ring->setup.sq_off.tail, ring->next);
  if (ring->setup.flags & IORING_SETUP_SQPOLL) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (ring_load(ring, ring->setup.sq_off.flags) & IORING_SQ_NEED_WAKEUP)
      guest_raw(SYS_io_uring_enter, ring->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, 0, 0);
    return;
  }
  EXPECT_EQ(ring_enter(ring, count, 0), count);
}

// The next completion, which is waited for.
static inline struct guest_completion ring_completion(struct guest_ring* ring) {
  while (ring_load(ring, ring->setup.cq_off.tail) == ring->seen) {
    int result = ring_enter(ring, 0, 1);
    if (result < 0 && result != -EINTR) guest_fail("wait for a completion: %d", result);
  }
  size_t size = ring->setup.flags & IORING_SETUP_CQE32 ? 32 : 16;
  struct guest_completion completion;
  memcpy(&completion,
         ring->rings + ring->setup.cq_off.cqes + (ring->seen & (ring->setup.cq_entries - 1)) * size,
         sizeof completion);
  ring_store(ring, ring->setup.cq_off.head, ++ring->seen);
  return completion;
}

// So many requests that do nothing, a few at a time; all are completed and seen.
static inline void ring_work(struct guest_ring* ring, unsigned count) {
  for (unsigned done = 0; done < count;) {
    unsigned part = count - done < ring->setup.sq_entries ? count - done : ring->setup.sq_entries;
    for (unsigned i = 0; i < part; i++) ring_request(ring, IORING_OP_NOP, done + i);
    ring_submit(ring);
    for (unsigned i = 0; i < part; i++) {
      struct guest_completion completion = ring_completion(ring);
      EXPECT_EQ(completion.user_data, done + i);
      EXPECT_EQ(completion.res, 0);
    }
    done += part;
  }
}

// What the program, the memory and the kernel say of the counters.
static inline void ring_check(struct guest_ring* ring, unsigned requests, unsigned completions) {
  EXPECT_EQ(ring->next, requests);
  EXPECT_EQ(ring_load(ring, ring->setup.sq_off.head), requests);
  EXPECT_EQ(ring_load(ring, ring->setup.sq_off.tail), requests);
  EXPECT_EQ(ring_load(ring, ring->setup.cq_off.tail), completions);
  EXPECT_EQ(ring_load(ring, ring->setup.cq_off.head), ring->seen);
  EXPECT_EQ(ring_load(ring, ring->setup.sq_off.dropped), 0);
  EXPECT_EQ(ring_load(ring, ring->setup.cq_off.overflow), 0);
}
