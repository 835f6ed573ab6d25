// The same for many things, some at once. The daemon's thread only.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "driver/daemon/channel.h"
#include "driver/daemon/spawn.h"

namespace ck::daemon {

// What the coroutines of one round share.
template <typename Item>
struct Round {
  explicit Round(const asio::any_io_executor& executor)
      : done(executor, std::chrono::steady_clock::time_point::max()) {}
  std::vector<Item> items;
  std::function<Task<void>(Item)> visit;
  std::size_t next = 0;
  std::size_t working = 0;
  asio::steady_timer done;
};

template <typename Item>
Task<void> work_on(std::shared_ptr<Round<Item>> round) {
  while (round->next < round->items.size()) {
    Item item = round->items[round->next++];
    co_await round->visit(std::move(item));
  }
  if (--round->working == 0) round->done.cancel();
}

// Calls `visit` for each of them, at most `most` at a time, and returns when all are done.
template <typename Item>
Task<void> for_each_at_once(std::vector<Item> items, std::size_t most,
                            std::function<Task<void>(Item)> visit) {
  auto executor = co_await asio::this_coro::executor;
  auto round = std::make_shared<Round<Item>>(executor);
  round->items = std::move(items);
  round->visit = std::move(visit);
  round->working = std::min(most, round->items.size());
  if (round->working == 0) co_return;
  for (std::size_t i = round->working; i > 0; --i) spawn(executor, work_on<Item>(round));
  if (round->working > 0) co_await round->done.async_wait(kAsTuple);
}

}  // namespace ck::daemon
