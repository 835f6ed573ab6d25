"""Processes as /proc shows them, and the end of those that a test started.

The test program becomes a child subreaper: whatever a killed supervisor leaves behind becomes its
child, so that it can end everything it started, by pid, and nothing else."""
import ctypes
import os
import signal
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def status(pid, task=None):
    """The fields of /proc/PID/status, or {} if the process has gone."""
    path = f"/proc/{pid}/status" if task is None else f"/proc/{pid}/task/{task}/status"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return dict(line.rstrip("\n").split(":", 1) for line in file if ":" in line)
    except (FileNotFoundError, ProcessLookupError):
        return {}


def alive(pid):
    return status(pid).get("State", "\tZ").strip()[0] not in "ZX"


def all_threads_dead(pid):
    """True for a zombie whose threads have ended too (a leader that called pthread_exit has not)."""
    try:
        return all(status(pid, task).get("State", "\tZ").strip()[0] in "ZX"
                   for task in os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants(pid):
    """Everything below `pid`. A process whose parent ends meanwhile can be missed once: where
    nothing may be missed, look twice."""
    found, queue = [], children(pid)
    while queue:
        child = queue.pop()
        if child not in found:
            found.append(child)
            queue += children(child)
    return found


def inner_pid(pid):
    """The pid that the process knows itself by, in its innermost pid namespace; 0 if it has gone."""
    return int(status(pid).get("NSpid", "\t0").split()[-1])


def reap_zombies(keep=()):
    """Reaps orphans that have become ours; `keep` are left to their Popen objects."""
    for child in children(os.getpid()):
        if child not in keep and all_threads_dead(child):
            try:
                os.waitpid(child, os.WNOHANG)
            except ChildProcessError:
                pass


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end_all(popens=(), timeout=20):
    """SIGKILLs everything that this process started, and waits until all of it has gone."""
    for popen in popens:  # first the supervisors, so that they cannot tidy up
        if popen.poll() is None:
            popen.kill()
    deadline, empty_looks = time.monotonic() + timeout, 0
    while True:
        for popen in popens:
            popen.poll()
        reap_zombies()
        left = [pid for pid in descendants(os.getpid()) if not all_threads_dead(pid)]
        empty_looks = 0 if left else empty_looks + 1
        if empty_looks == 2:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"processes {left} do not end after SIGKILL")
        for pid in left:
            kill(pid)
        time.sleep(0.01)


def leftovers(keep=(), grace=3.0):
    """Pids that we started, directly or not, and that still live after `grace` seconds."""
    deadline, empty_looks = time.monotonic() + grace, 0
    while True:
        reap_zombies(keep)
        left = [pid for pid in descendants(os.getpid()) if pid not in keep and alive(pid)]
        empty_looks = 0 if left else empty_looks + 1
        if empty_looks == 2 or time.monotonic() > deadline:
            return left
        time.sleep(0.02)
