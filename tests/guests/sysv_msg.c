// System V message queues: messages in order with their types, limits; a child waits for a type
// that is not there.
// roundtrip: modes=resume,restart,twice,real,virtual,ways
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>

#include "guest.h"

struct message {
  long type;
  char text[6000];
};

static void put(int id, long type, size_t bytes) {
  struct message message = {.type = type};
  guest_fill(message.text, bytes / 8 * 8, (uint64_t)type * 1000 + bytes);
  EXPECT_EQ(msgsnd(id, &message, bytes, 0), 0);
}

static void expect(int id, long wanted, long type, size_t bytes) {
  struct message message;
  EXPECT_EQ(msgrcv(id, &message, sizeof message.text, wanted, IPC_NOWAIT), bytes);
  EXPECT_EQ(message.type, type);
  EXPECT(guest_filled(message.text, bytes / 8 * 8, (uint64_t)type * 1000 + bytes));
}

int main(void) {
  key_t key = 0x53530000 + getpid();
  int id = msgget(key, IPC_CREAT | IPC_EXCL | 0620), answers = msgget(IPC_PRIVATE, 0600);
  EXPECT(id >= 0 && answers >= 0);
  struct msqid_ds about;
  EXPECT_EQ(msgctl(id, IPC_STAT, &about), 0);
  about.msg_qbytes = 12000;
  EXPECT_EQ(msgctl(id, IPC_SET, &about), 0);
  put(id, 4, 6000);
  put(id, 9, 0);
  pid_t child = fork();
  if (child == 0) {
    put(id, 2, 80);
    put(id, 4, 81);
    put(answers, 1, 1);
    struct message message;
    EXPECT_EQ(msgrcv(id, &message, sizeof message.text, 77, 0), 40);
    put(answers, 5, 50);
    _exit(9);
  }
  struct message first;
  EXPECT_EQ(msgrcv(answers, &first, 1, 1, 0), 1);
  guest_ready();
  guest_wait();
  EXPECT_EQ(msgget(key, 0), id);
  EXPECT_EQ(msgctl(id, IPC_STAT, &about), 0);
  EXPECT_EQ(about.msg_perm.mode & 0777, 0620);
  EXPECT_EQ(about.msg_qbytes, 12000);
  EXPECT_EQ(about.msg_qnum, 4);
  EXPECT_EQ(about.msg_lspid, child);
  put(id, 77, 40);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  expect(answers, 0, 5, 50);
  expect(id, 9, 9, 0);
  expect(id, -3, 2, 80);
  expect(id, 0, 4, 6000);
  expect(id, 0, 4, 81);
  EXPECT(msgrcv(id, &first, 0, 0, IPC_NOWAIT) == -1 && errno == ENOMSG);
  EXPECT(msgctl(id, IPC_RMID, 0) == 0 && msgctl(answers, IPC_RMID, 0) == 0);
  return guest_ok();
}
