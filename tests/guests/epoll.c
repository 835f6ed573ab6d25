// epoll: what is watched, with its events and data; edge-triggered, one-shot and used-up entries.
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "guest.h"

static void watch(int epoll, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

int main(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0);
  int level = eventfd(1, 0), edge = eventfd(0, 0), once = eventfd(1, 0), quiet = eventfd(0, 0);
  struct epoll_event events[8];
  watch(epoll, once, EPOLLIN | EPOLLONESHOT, 300);
  EXPECT_EQ(epoll_wait(epoll, events, 8, 0), 1);  // used up now
  watch(epoll, level, EPOLLIN, 0x1111222233334444);
  watch(epoll, edge, EPOLLIN | EPOLLET, 200);
  watch(epoll, quiet, EPOLLIN, 400);
  watch(outer, epoll, EPOLLIN, 500);
  guest_ready();
  guest_wait();
  EXPECT_EQ(epoll_wait(outer, events, 8, 0), 1);
  EXPECT_EQ(events[0].data.u64, 500);
  EXPECT_EQ(epoll_wait(epoll, events, 8, 0), 1);
  EXPECT_EQ(events[0].data.u64, 0x1111222233334444);
  uint64_t one = 1;
  EXPECT_EQ(write(edge, &one, 8), 8);
  EXPECT_EQ(epoll_wait(epoll, events, 8, 0), 2);
  EXPECT_EQ(epoll_wait(epoll, events, 8, 0), 1);  // the edge is told once
  struct epoll_event again = {.events = EPOLLIN | EPOLLONESHOT, .data.u64 = 301};
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_MOD, once, &again), 0);
  EXPECT_EQ(epoll_wait(epoll, events, 8, 0), 2);
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_DEL, quiet, 0), 0);
  return guest_ok();
}
