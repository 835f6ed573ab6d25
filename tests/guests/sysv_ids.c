// Every call that carries the id or key of a System V object: by processes that wait in one
// meanwhile, by children that are forked afterwards, for new objects, and when they are removed.
// With GUEST_KEYS_TAKEN, others may have the keys.
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "guest.h"

enum { kBytes = 8192, kWaiters = 4 };

struct message {
  long type;
  char text[8];
};

static int segment, set, queue, full;

static void change(int id, int number, int by, const struct timespec* timeout) {
  struct sembuf operation = {(unsigned short)number, (short)by, 0};
  EXPECT_EQ(timeout ? semtimedop(id, &operation, 1, timeout) : semop(id, &operation, 1), 0);
}

static void put(int id, long type) {
  struct message message = {type, "content"};
  EXPECT_EQ(msgsnd(id, &message, sizeof message.text, 0), 0);
}

static void take(int id, long type) {
  struct message message;
  EXPECT_EQ(msgrcv(id, &message, sizeof message.text, type, 0), sizeof message.text);
  EXPECT(message.type == type && strcmp(message.text, "content") == 0);
}

static pid_t start_waiter(int number) {
  pid_t child = fork();
  if (child != 0) return child;
  struct timespec long_time = {100, 0};
  put(queue, 20);
  if (number == 0) change(set, 0, -1, NULL);
  if (number == 1) change(set, 1, -1, &long_time);
  if (number == 2) take(queue, 7);
  if (number == 3) put(full, 2);
  _exit(9);
}

static void expect_end(pid_t child) {
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
}

static void check_keys(key_t key) {
  struct shmid_ds about;
  struct semid_ds sems;
  struct msqid_ds messages;
  EXPECT_EQ(shmget(key, 0, 0), segment);
  EXPECT_EQ(shmget(key, kBytes, IPC_CREAT | 0600), segment);
  EXPECT(shmget(key, kBytes, IPC_CREAT | IPC_EXCL | 0600) == -1 && errno == EEXIST);
  EXPECT(shmget(key, kBytes + 1, 0) == -1 && errno == EINVAL);
  EXPECT_EQ(semget(key, 2, IPC_CREAT | 0600), set);
  EXPECT(semget(key, 3, 0) == -1 && errno == EINVAL);
  EXPECT_EQ(msgget(key, 0), queue);
  EXPECT(msgget(key, IPC_CREAT | IPC_EXCL | 0600) == -1 && errno == EEXIST);
  EXPECT(shmctl(segment, IPC_STAT, &about) == 0 && semctl(set, 0, IPC_STAT, &sems) == 0);
  EXPECT_EQ(msgctl(queue, IPC_STAT, &messages), 0);
  EXPECT(about.shm_perm.__key == key && sems.sem_perm.__key == key);
  EXPECT_EQ(messages.msg_perm.__key, key);
  EXPECT_EQ(about.shm_segsz, kBytes);
  EXPECT_EQ(sems.sem_nsems, 2);
}

// By place, as ipcs(1) does.
static void check_lists(void) {
  struct shmid_ds about;
  struct semid_ds sems;
  struct msqid_ds messages;
  struct shm_info segments;
  struct seminfo sets;
  struct msginfo queues;
  int seen = 0;
  for (int i = shmctl(0, SHM_INFO, (void*)&segments); i >= 0; i--)
    seen += shmctl(i, SHM_STAT, &about) == segment;
  for (int i = semctl(0, 0, SEM_INFO, &sets); i >= 0; i--)
    seen += 10 * (semctl(i, 0, SEM_STAT, &sems) == set);
  for (int i = msgctl(0, MSG_INFO, (void*)&queues); i >= 0; i--)
    seen += 100 * (msgctl(i, MSG_STAT, &messages) == queue);
  EXPECT_EQ(seen, 111);
}

static void check_child(volatile uint64_t* shared) {
  pid_t child = fork();
  if (child == 0) {
    volatile uint64_t* own = shmat(segment, 0, 0);
    EXPECT(own != (void*)-1 && own[0] == 77);
    own[1] = 78;
    change(set, 0, 1, NULL);
    take(full, 1);
    put(queue, 7);
    _exit(9);
  }
  expect_end(child);
  EXPECT_EQ(shared[1], 78);
}

// They are others than those that are there, whatever the kernel calls them.
static void check_new(volatile uint64_t* shared) {
  int segment2 = shmget(IPC_PRIVATE, kBytes, 0600), set2 = semget(IPC_PRIVATE, 2, 0600);
  int queue2 = msgget(IPC_PRIVATE, 0600);
  EXPECT(segment2 >= 0 && set2 >= 0 && queue2 >= 0);
  EXPECT(segment2 != segment && set2 != set && queue2 != queue && queue2 != full);
  volatile uint64_t* fresh = shmat(segment2, 0, 0);
  EXPECT(fresh != (void*)-1 && fresh[0] == 0);
  fresh[0] = 5;
  EXPECT_EQ(shared[0], 77);
  EXPECT_EQ(semctl(set2, 0, SETVAL, 3), 0);
  EXPECT_EQ(semctl(set, 0, GETVAL), 0);
  put(queue2, 7);
  take(queue2, 7);
  EXPECT(shmdt((void*)fresh) == 0 && shmctl(segment2, IPC_RMID, 0) == 0);
  EXPECT(semctl(set2, 0, IPC_RMID) == 0 && msgctl(queue2, IPC_RMID, 0) == 0);
}

static void check_removal(key_t key, volatile uint64_t* shared) {
  struct sembuf operation = {0, 1, IPC_NOWAIT};
  EXPECT(shmctl(segment, IPC_RMID, 0) == 0 && semctl(set, 0, IPC_RMID) == 0);
  EXPECT(msgctl(queue, IPC_RMID, 0) == 0 && msgctl(full, IPC_RMID, 0) == 0);
  EXPECT(semop(set, &operation, 1) == -1 && (errno == EINVAL || errno == EIDRM));
  EXPECT(msgctl(queue, IPC_RMID, 0) == -1 && (errno == EINVAL || errno == EIDRM));
  volatile uint64_t* again = shmat(segment, 0, 0);  // as long as it is attached
  EXPECT(again != (void*)-1 && again[0] == 77 && shmdt((void*)again) == 0);
  if (!getenv("GUEST_KEYS_TAKEN")) {
    EXPECT(shmget(key, 0, 0) == -1 && errno == ENOENT);
    EXPECT(semget(key, 0, 0) == -1 && errno == ENOENT);
    int other = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
    EXPECT(other >= 0 && other != queue && msgget(key, 0) == other);
    EXPECT_EQ(msgctl(other, IPC_RMID, 0), 0);
  }
  EXPECT_EQ(shmdt((void*)shared), 0);
  EXPECT(shmat(segment, 0, 0) == (void*)-1 && (errno == EINVAL || errno == EIDRM));
}

int main(void) {
  const char* fixed = getenv("GUEST_KEY");
  key_t key = fixed ? atoi(fixed) : 0x54540000 + getpid();
  segment = shmget(key, kBytes, IPC_CREAT | IPC_EXCL | 0600);
  set = semget(key, 2, IPC_CREAT | IPC_EXCL | 0600);
  queue = msgget(key, IPC_CREAT | IPC_EXCL | 0600);
  full = msgget(IPC_PRIVATE, 0600);
  EXPECT(segment >= 0 && set >= 0 && queue >= 0 && full >= 0);
  volatile uint64_t* shared = shmat(segment, 0, 0);
  EXPECT(shared != (void*)-1);
  shared[0] = 77;
  struct msqid_ds about;
  EXPECT_EQ(msgctl(full, IPC_STAT, &about), 0);
  about.msg_qbytes = sizeof((struct message*)0)->text;
  EXPECT_EQ(msgctl(full, IPC_SET, &about), 0);
  put(full, 1);
  pid_t waiters[kWaiters];
  for (int i = 0; i < kWaiters; i++) waiters[i] = start_waiter(i);
  for (int i = 0; i < kWaiters; i++) take(queue, 20);
  while (semctl(set, 0, GETNCNT) + semctl(set, 1, GETNCNT) < 2) guest_nap(1);
  guest_ready();
  guest_wait();
  check_keys(key);
  check_lists();
  check_child(shared);
  change(set, 1, 1, NULL);
  for (int i = 0; i < kWaiters; i++) expect_end(waiters[i]);
  check_new(shared);
  take(full, 2);
  check_removal(key, shared);
  return guest_ok();
}
