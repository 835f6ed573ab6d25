// A loop that only computes, interrupted anywhere: no step is lost or done twice.
// roundtrip: ten
#include "guest.h"

static const uint64_t kMultiplier = 6364136223846793005u, kIncrement = 1442695040888963407u;

// The state after `steps` steps, in logarithmic time.
static uint64_t jump(uint64_t state, uint64_t steps) {
  uint64_t a = kMultiplier, c = kIncrement, total_a = 1, total_c = 0;
  for (; steps; steps >>= 1) {
    if (steps & 1) {
      total_a *= a;
      total_c = total_c * a + c;
    }
    c *= a + 1;
    a *= a;
  }
  return total_a * state + total_c;
}

int main(void) {
  uint64_t state = 42, steps = 0;
  guest_ready();
  while (!guest_released()) {
    for (int i = 0; i < 200000; i++) state = state * kMultiplier + kIncrement;
    steps += 200000;
  }
  EXPECT_EQ(state, jump(42, steps));
  return guest_ok();
}
