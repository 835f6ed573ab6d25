// A critical section of the program's own: counters of each CPU, counted up without atomics by
// four threads. An abort that is missed loses or doubles a count.
#include <pthread.h>
#include <sys/rseq.h>

#include "guest.h"

enum { kCpus = 1024 };
static struct {
  volatile long count;
  char pad[56];
} counters[kCpus];

static void count_one(struct rseq* rseq) {
  __asm__ volatile goto(
      ".pushsection __rseq_cs,\"aw\"\n .balign 32\n"
      "3: .long 0,0\n .quad 1f,2f-1f,4f\n .popsection\n"
      "5: lea 3b(%%rip),%%rax\n mov %%rax,8(%[rseq])\n"
      "1: mov 4(%[rseq]),%%eax\n shl $6,%%rax\n add %[base],%%rax\n"
      "mov (%%rax),%%rcx\n pause\n inc %%rcx\n mov %%rcx,(%%rax)\n"
      "2: jmp %l[done]\n"
      ".byte 0x0f,0xb9,0x3d\n .long 0x53053053\n"
      "4: jmp 5b\n"
      :
      : [rseq] "r"(rseq), [base] "r"(counters)
      : "rax", "rcx", "memory", "cc"
      : done);
done:
  return;
}

static void* run(void* unused) {
  (void)unused;
  struct rseq* rseq = (struct rseq*)((char*)__builtin_thread_pointer() + __rseq_offset);
  long done = 0;
  while (!guest_released())
    for (int i = 0; i < 20000; i++, done++) count_one(rseq);
  return (void*)done;
}

int main(void) {
  if (__rseq_size == 0) guest_skip("glibc has not registered rseq");
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, run, 0);
  guest_ready();
  long expected = 0, total = 0;
  for (int i = 0; i < 4; i++) {
    void* done;
    pthread_join(threads[i], &done);
    expected += (long)done;
  }
  for (int cpu = 0; cpu < kCpus; cpu++) total += counters[cpu].count;
  EXPECT_EQ(total, expected);
  return guest_ok();
}
