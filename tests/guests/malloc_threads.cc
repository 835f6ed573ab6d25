// Four threads that allocate, move and free all the time: a checkpoint inside malloc.
// roundtrip: maps=no
#include <atomic>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "guest.h"

static std::atomic<int> running;

static void work(unsigned seed) {
  running++;
  std::map<unsigned, std::string> kept;
  while (!guest_released()) {
    for (int i = 0; i < 500; i++) {
      seed = seed * 1103515245 + 12345;
      unsigned key = seed >> 16 & 1023;
      kept[key] = std::string(key % 300 + 20, static_cast<char>('a' + key % 26));
      if (seed & 64) kept.erase((key * 7) & 1023);
    }
  }
  for (const auto& [key, text] : kept)
    EXPECT(text == std::string(key % 300 + 20, static_cast<char>('a' + key % 26)));
}

int main() {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; i++) threads.emplace_back(work, i + 1);
  while (running < 4) guest_nap(1);
  guest_ready();
  for (auto& thread : threads) thread.join();
  return guest_ok();
}
