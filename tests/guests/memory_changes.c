// 128 MiB of memory, of which about half is there after a while: its pages are written, discarded,
// moved, replaced and protected all the time, in an order that only looks random. Every page is at
// any moment what its last change made it.
// roundtrip: ten maps=no
#include <sys/mman.h>

#include "guest.h"

enum { kPage = 4096, kWords = kPage / 8, kSlots = 32, kPages = 1024 };

struct slot {
  uint64_t* memory;
  int in_pieces;        // the kernel may keep it as several mappings, which mremap(2) refuses
  uint64_t is[kPages];  // what the words of each page are, plus their number; 0: all zero
};
static struct slot slots[kSlots];
static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void* map(void) {
  void* memory = mmap(0, (size_t)kPages * kPage, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  EXPECT(memory != MAP_FAILED);
  return memory;
}

static void write_page(struct slot* slot, unsigned page) {
  uint64_t* words = slot->memory + (size_t)page * kWords;
  const uint64_t value = next() | 1;
  for (unsigned i = 0; i < kWords; i++) words[i] = value + i;
  slot->is[page] = value;
}

static void check(const struct slot* slot, unsigned page) {
  const uint64_t* words = slot->memory + (size_t)page * kWords;
  for (unsigned i = 0; i < kWords; i++)
    EXPECT_EQ(words[i], slot->is[page] == 0 ? 0 : slot->is[page] + i);
}

static void forget(struct slot* slot, unsigned from, unsigned count) {
  memset(slot->is + from, 0, count * sizeof slot->is[0]);
}

static void change(struct slot* slot) {
  const size_t bytes = (size_t)kPages * kPage;
  const unsigned from = (unsigned)(next() % kPages);
  const unsigned most = kPages - from;
  const unsigned count = 1 + (unsigned)(next() % (most < 40 ? most : 40));
  void* const at = slot->memory + (size_t)from * kWords;
  const uint64_t kind = next() % 64;
  if (kind == 0) {  // another mapping in its place
    EXPECT_EQ(munmap(slot->memory, bytes), 0);
    slot->memory = map();
    slot->in_pieces = 0;
    forget(slot, 0, kPages);
  } else if (kind == 1 && !slot->in_pieces) {  // elsewhere, its pages go along
    void* const elsewhere = map();
    slot->memory = mremap(slot->memory, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere);
    EXPECT(slot->memory == elsewhere);
  } else if (kind < 8) {
    EXPECT_EQ(madvise(at, (size_t)count * kPage, MADV_DONTNEED), 0);
    forget(slot, from, count);
  } else if (kind < 12) {  // a hole, and new memory in it
    EXPECT(mmap(at, (size_t)count * kPage, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == at);
    slot->in_pieces = 1;
    forget(slot, from, count);
  } else if (kind < 16) {
    EXPECT_EQ(mprotect(at, (size_t)count * kPage, PROT_READ), 0);
    for (unsigned i = 0; i < count; i++) check(slot, from + i);
    EXPECT_EQ(mprotect(at, (size_t)count * kPage, PROT_READ | PROT_WRITE), 0);
  } else {
    for (unsigned i = 0; i < count; i++) write_page(slot, from + i);
  }
}

int main(void) {
  for (unsigned i = 0; i < kSlots; i++) {
    slots[i].memory = map();
    for (unsigned page = 0; page < kPages; page++) write_page(&slots[i], page);
  }
  guest_ready();
  while (!guest_released()) {
    for (unsigned i = 0; i < 20; i++) change(&slots[next() % kSlots]);
    const struct slot* const looked_at = &slots[next() % kSlots];
    for (unsigned i = 0; i < 20; i++) check(looked_at, (unsigned)(next() % kPages));
  }
  for (unsigned i = 0; i < kSlots; i++)
    for (unsigned page = 0; page < kPages; page++) check(&slots[i], page);
  return guest_ok();
}
