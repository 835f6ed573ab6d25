// thread_local objects: values stay, destructors run, new threads after the restart have theirs.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "guest.h"

static std::atomic<int> destroyed{0};
struct Local {
  std::string text = "fresh";
  ~Local() { destroyed++; }
};
static thread_local Local local;
static thread_local long counter = 5;

static void work(int id, std::atomic<int>* started) {
  local.text = "thread " + std::to_string(id);
  counter = 1000 * id;
  ++*started;
  while (!guest_released()) {
    counter++;
    guest_nap(1);
  }
  EXPECT(local.text == "thread " + std::to_string(id));
  EXPECT(counter >= 1000 * id && counter < 1000 * id + 100000);
}

int main() {
  std::atomic<int> started{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) threads.emplace_back(work, i, &started);
  while (started < 4) guest_nap(1);
  local.text = "main";
  guest_ready();
  guest_wait();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(destroyed, 4);
  std::thread([] { EXPECT(local.text == "fresh" && counter == 5); }).join();
  EXPECT_EQ(destroyed, 5);
  EXPECT(local.text == "main");
  return guest_ok();
}
