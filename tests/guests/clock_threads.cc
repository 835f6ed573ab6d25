// Threads that ask std::chrono for the time without pause: steady time goes on, without a jump, and
// is the same for all. Nearly always most of them are in the vdso.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "guest.h"

using Steady = std::chrono::steady_clock;

static std::atomic<bool> done{false};
static std::atomic<int> begun{0};  // a thread that is being made blocks its signals
static std::atomic<Steady::rep> newest{0};

static void read_clocks() {
  Steady::time_point last = Steady::now();
  ++begun;
  while (!done) {
    const Steady::rep seen = newest;
    const Steady::time_point now = Steady::now();
    if (now < last) guest_fail("steady time went back");
    if (now.time_since_epoch().count() < seen) guest_fail("behind another thread");
    if (now - last > std::chrono::seconds(10)) guest_fail("steady time jumped");
    if (std::chrono::system_clock::now().time_since_epoch() < std::chrono::hours(24 * 365 * 50))
      guest_fail("system time is wrong");
    newest = now.time_since_epoch().count();
    last = now;
  }
}

int main() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) threads.emplace_back(read_clocks);
  while (begun < 12) std::this_thread::yield();
  guest_ready();
  guest_wait();
  done = true;
  for (std::thread& thread : threads) thread.join();
  return guest_ok();
}
