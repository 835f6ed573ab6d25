// msgrcv on a System V queue goes on waiting.
// roundtrip: delay=0.4
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "guest.h"

static volatile int woken;
static int queue;
struct message {
  long type;
  char text[8];
};

static void* block(void* unused) {
  struct message message;
  EXPECT_EQ(msgrcv(queue, &message, sizeof message.text, 3, 0), 8);
  EXPECT(strcmp(message.text, "message") == 0);
  woken = 1;
  return unused;
}

int main(void) {
  queue = msgget(IPC_PRIVATE, 0600);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  struct message message = {3, "message"};
  EXPECT_EQ(msgsnd(queue, &message, sizeof message.text, 0), 0);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(msgctl(queue, IPC_RMID, 0), 0);
  return guest_ok();
}
