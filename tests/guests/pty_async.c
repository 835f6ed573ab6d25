// Input at a terminal raises the chosen signal (O_ASYNC, F_SETSIG, F_SETOWN_EX), and wakes select,
// poll and epoll that wait for it across the checkpoint.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <termios.h>

#include "guest.h"

static int slave, instance;
static volatile int signals, told_fd, told_thread, selected, polled, epolled;

static void on_input(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  told_fd = info->si_fd;
  told_thread = gettid();
  signals++;
}
static void block_signal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 4);
  pthread_sigmask(SIG_BLOCK, &set, 0);
}
static void* in_select(void* unused) {
  block_signal();
  fd_set set;
  FD_ZERO(&set);
  FD_SET(slave, &set);
  selected = select(slave + 1, &set, 0, 0, 0);
  return unused;
}
static void* in_poll(void* unused) {
  block_signal();
  struct pollfd wait = {.fd = slave, .events = POLLIN};
  polled = poll(&wait, 1, -1);
  return unused;
}
static void* in_epoll(void* unused) {
  block_signal();
  struct epoll_event event;
  epolled = epoll_wait(instance, &event, 1, -1);
  return unused;
}

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  struct termios modes;
  EXPECT_EQ(tcgetattr(slave, &modes), 0);
  cfmakeraw(&modes);
  EXPECT_EQ(tcsetattr(slave, TCSANOW, &modes), 0);
  struct sigaction action = {.sa_sigaction = on_input, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN + 4, &action, 0);
  struct f_owner_ex owner = {F_OWNER_TID, gettid()}, after = {0, 0};
  EXPECT_EQ(fcntl(slave, F_SETOWN_EX, &owner), 0);
  EXPECT_EQ(fcntl(slave, F_SETSIG, SIGRTMIN + 4), 0);
  EXPECT_EQ(fcntl(slave, F_SETFL, O_ASYNC), 0);
  instance = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = slave};
  EXPECT_EQ(epoll_ctl(instance, EPOLL_CTL_ADD, slave, &event), 0);
  pthread_t threads[3];
  pthread_create(&threads[0], 0, in_select, 0);
  pthread_create(&threads[1], 0, in_poll, 0);
  pthread_create(&threads[2], 0, in_epoll, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(signals, 0);
  EXPECT_EQ(selected + polled + epolled, 0);
  EXPECT_EQ(fcntl(slave, F_GETOWN_EX, &after), 0);
  EXPECT_EQ(after.type, F_OWNER_TID);
  EXPECT_EQ(after.pid, gettid());
  EXPECT_EQ(fcntl(slave, F_GETFL) & O_ASYNC, O_ASYNC);
  EXPECT_EQ(write(master, "k", 1), 1);
  for (int i = 0; i < 3; i++) EXPECT_EQ(pthread_join(threads[i], 0), 0);
  for (int i = 0; i < 200 && !signals; i++) guest_nap(5);
  EXPECT(signals > 0);
  EXPECT_EQ(told_fd, slave);
  EXPECT_EQ(told_thread, getpid());
  EXPECT_EQ(selected, 1);
  EXPECT_EQ(polled, 1);
  EXPECT_EQ(epolled, 1);
  return guest_ok();
}
