// Eight threads: producers, a queue with condition variables, consumers that throw and catch, each
// with thread_local state. Prints one digest that depends on every item.
#include <array>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kProducers = 4;
constexpr int kConsumers = 4;

std::mutex mutex;
std::condition_variable not_empty, not_full;
std::deque<std::uint64_t> queue;
int producers_left = kProducers;
thread_local std::map<std::uint64_t, std::string> cache;

std::uint64_t work(std::uint64_t item) {
  std::uint64_t hash = item;
  for (int i = 0; i < 600; i++) hash = (hash ^ (hash >> 29)) * 0xbf58476d1ce4e5b9u + item;
  std::string& text = cache[hash % 2048];
  text = std::to_string(hash);
  if (hash % 17 == 0) throw std::runtime_error(text);
  return hash + text.size();
}

void produce(std::uint64_t first, std::uint64_t count) {
  for (std::uint64_t item = first; item < first + count; item++) {
    std::unique_lock lock(mutex);
    not_full.wait(lock, [] { return queue.size() < 64; });
    queue.push_back(item);
    not_empty.notify_one();
  }
  std::lock_guard lock(mutex);
  producers_left--;
  not_empty.notify_all();
}

std::uint64_t consume() {
  std::uint64_t sum = 0;
  for (;;) {
    std::unique_lock lock(mutex);
    not_empty.wait(lock, [] { return !queue.empty() || producers_left == 0; });
    if (queue.empty()) return sum;
    std::uint64_t item = queue.front();
    queue.pop_front();
    not_full.notify_one();
    lock.unlock();
    try {
      sum += work(item);
    } catch (const std::runtime_error& error) {
      sum += std::stoull(error.what()) * 3;
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::uint64_t items = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 400000;
  std::array<std::uint64_t, kConsumers> sums{};
  std::vector<std::thread> threads;
  for (int i = 0; i < kProducers; i++)
    threads.emplace_back(produce, items / kProducers * i, items / kProducers);
  for (int i = 0; i < kConsumers; i++) threads.emplace_back([&, i] { sums[i] = consume(); });
  for (auto& thread : threads) thread.join();
  std::uint64_t total = 0;
  for (std::uint64_t sum : sums) total += sum;
  std::ifstream maps("/proc/self/maps");
  bool jemalloc = false;
  for (std::string line; std::getline(maps, line);)
    jemalloc |= line.find("jemalloc") != std::string::npos;
  std::printf("items %llu digest %016llx%s\n", (unsigned long long)items, (unsigned long long)total,
              jemalloc ? " with jemalloc" : "");
}
