"""Namespaces of the test's own."""
import os
import subprocess
import sys


def enter_own(with_pids):
    """Starts the test program again, as root. System V objects and message queues outlive a job that
    is killed: in an IPC namespace of the test they go with it. Numbers of pseudo-terminals must be
    free when the job comes back, and so must real pids; on a busy host others take them. So the test
    has a /dev/pts of its own and moves, where pids matter, into a pid namespace in which nobody else
    lives."""
    if os.geteuid() != 0:
        return
    if os.environ.get("CK_OWN_NAMESPACES"):
        subprocess.run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666,mode=0620",
                        "devpts", "/dev/pts"], check=True)
        return
    environment = {**os.environ, "CK_OWN_NAMESPACES": "1"}
    unshare = ["unshare", "--ipc", "--mount"]
    if with_pids and os.getpid() != 1:
        unshare += ["--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvpe("unshare", [*unshare, sys.executable, *sys.argv], environment)
