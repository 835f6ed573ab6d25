// The heap by brk and by malloc: contents stay, and both go on growing after the restart.
#include "guest.h"

enum { kBlocks = 2000 };

int main(void) {
  char* blocks[kBlocks];
  for (int i = 0; i < kBlocks; i++) {
    blocks[i] = malloc(64 + i % 4000);
    guest_fill(blocks[i], 64, i);
  }
  char* big = malloc(32 << 20);
  guest_fill(big, 32 << 20, 7);
  char* end = sbrk(1 << 20);
  guest_fill(end, 1 << 20, 9);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(big, 32 << 20, 7));
  EXPECT(guest_filled(end, 1 << 20, 9));
  EXPECT(sbrk(0) >= (void*)(end + (1 << 20)));
  char* more = sbrk(4 << 20);
  EXPECT(more != (void*)-1);
  guest_fill(more, 4 << 20, 11);
  EXPECT(guest_filled(more, 4 << 20, 11));
  for (int i = 0; i < kBlocks; i++) {
    EXPECT(guest_filled(blocks[i], 64, i));
    free(blocks[i]);
  }
  free(big);
  for (int i = 0; i < kBlocks; i++) memset(blocks[i] = malloc(300 * (i % 50) + 1), i, 1);
  for (int i = 0; i < kBlocks; i++) free(blocks[i]);
  return guest_ok();
}
