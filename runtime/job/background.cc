#include "runtime/job/background.h"

#include <sys/stat.h>
#include <sys/syscall.h>

#include <sstream>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/tasks.h"

namespace ck::job {
namespace {

// proc_pid_syscall(5): the number and the arguments of the call in which a thread waits.
bool thread_reads(RealPid pid, RealPid thread, int tty) {
  const Result<std::string> text = proc::read_proc(thread, "syscall");
  if (!text.ok()) return false;
  std::istringstream words(*text);
  long number = -1;
  unsigned long fd = 0;
  if (!(words >> number >> std::hex >> fd) || (number != SYS_read && number != SYS_readv))
    return false;
  struct stat about {};
  const std::string path = "/proc/" + to_string(pid) + "/fd/" + std::to_string(fd);
  return ::stat(path.c_str(), &about) == 0 && S_ISCHR(about.st_mode) &&
         about.st_rdev == static_cast<dev_t>(tty);
}

bool one_reads(RealPid pid) {
  const Result<proc::ProcessStat> stat = proc::read_stat(pid);
  const Result<std::vector<RealPid>> threads = proc::read_threads(pid);
  if (!stat.ok() || !threads.ok() || stat->tty == 0 || stat->pgrp != stat->foreground) return false;
  for (RealPid thread : *threads)
    if (thread_reads(pid, thread, stat->tty)) return true;
  return false;
}

}  // namespace

bool reads_terminal(RealPid head) {
  if (one_reads(head)) return true;
  const Result<std::vector<RealPid>> children = proc::read_children(head);
  if (!children.ok()) return false;
  for (RealPid child : *children)
    if (reads_terminal(child)) return true;
  return false;
}

}  // namespace ck::job
