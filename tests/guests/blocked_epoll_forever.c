// epoll_wait without a time-out goes on waiting and sees what comes later.
// roundtrip: delay=0.4
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "guest.h"

static volatile int woken;
static int epoll, event_fd;

static void* block(void* unused) {
  struct epoll_event event;
  EXPECT_EQ(epoll_wait(epoll, &event, 1, -1), 1);
  EXPECT_EQ(event.data.u32, 77);
  woken = 1;
  return unused;
}

int main(void) {
  epoll = epoll_create1(0);
  event_fd = eventfd(0, 0);
  struct epoll_event watched = {.events = EPOLLIN, .data.u32 = 77};
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &watched), 0);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  uint64_t one = 1;
  EXPECT_EQ(write(event_fd, &one, 8), 8);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
