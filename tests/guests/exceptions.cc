// C++ exceptions thrown and caught, in several threads, before and after the restart.
#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "guest.h"

static int descend(int depth) {
  std::string guard(20, 'g');
  if (depth == 0) throw std::runtime_error("bottom");
  return descend(depth - 1) + static_cast<int>(guard.size());
}

static long throw_until_released() {
  long caught = 0;
  do {
    try {
      descend(20);
      guest_fail("nothing was thrown");
    } catch (const std::runtime_error& error) {
      EXPECT(std::string(error.what()) == "bottom");
      caught++;
    }
  } while (!guest_released());
  return caught;
}

int main() {
  std::exception_ptr kept;
  try {
    throw std::out_of_range("kept over the checkpoint");
  } catch (...) {
    kept = std::current_exception();
  }
  std::atomic<long> total{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) threads.emplace_back([&] { total += throw_until_released(); });
  guest_ready();
  total += throw_until_released();
  for (auto& thread : threads) thread.join();
  EXPECT(total >= 4);
  try {
    std::rethrow_exception(kept);
  } catch (const std::out_of_range& error) {
    EXPECT(std::string(error.what()) == "kept over the checkpoint");
  }
  return guest_ok();
}
