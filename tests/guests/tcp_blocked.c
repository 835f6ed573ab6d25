// Threads that block in accept, recv and poll of TCP sockets: what they wait for still comes.
#include <pthread.h>

#include "guest_socket.h"

static int listener, ends[2], polled[2], accepted = -1;

static void* accepting(void* unused) {
  accepted = accept(listener, NULL, NULL);
  return unused;
}
static void* receiving(void* unused) {
  char bytes[16];
  EXPECT_EQ(recv(ends[1], bytes, sizeof bytes, 0), 4);
  return unused;
}
static void* polling(void* unused) {
  struct pollfd one = {polled[0], POLLIN, 0};
  EXPECT_EQ(poll(&one, 1, -1), 1);
  EXPECT_RECV(polled[0], "polled");
  return unused;
}

int main(void) {
  void* (*bodies[])(void*) = {accepting, receiving, polling};
  pthread_t threads[3];
  listener = tcp_listener(AF_INET6, 5);
  tcp_pair(listener, AF_INET6, ends);
  tcp_pair(listener, AF_INET6, polled);
  for (int i = 0; i < 3; i++) EXPECT_EQ(pthread_create(&threads[i], NULL, bodies[i], NULL), 0);
  guest_ready();
  guest_wait();
  EXPECT_SEND(ends[0], "come");
  EXPECT_SEND(polled[1], "polled");
  int client = inet_connected(AF_INET6, SOCK_STREAM, own_port(listener));
  for (int i = 0; i < 3; i++) EXPECT_EQ(pthread_join(threads[i], NULL), 0);
  EXPECT_EQ(peer_port(accepted), own_port(client));
  return guest_ok();
}
