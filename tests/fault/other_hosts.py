#!/usr/bin/python3
"""Images that another host wrote: with another kernel's vdso (the restart then keeps the old one as
memory that leads to the host's), of another CPU, by another version of the agent."""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.job import Bench, Job  # noqa: E402

BAD_IMAGE, REFUSED = 65, 69

# Reads every clock as fast as it can until it is told to end; a clock that goes back is an error.
PYTHON_CLOCKS = """
import os, sys, time
print("ready", flush=True)
reads, last = 0, (time.time(), time.perf_counter(), time.monotonic())
while reads % 64 or not os.path.exists(os.environ["GUEST_GO"]):
    now = (time.time(), time.perf_counter(), time.monotonic())
    assert now[1] >= last[1] and now[2] >= last[2], (last, now)
    assert now[1] < last[1] + 10 and now[2] < last[2] + 10, (last, now)
    last, reads = now, reads + 1
assert abs(time.time() - os.stat(os.environ["GUEST_GO"]).st_mtime) < 60
print("ok")
"""


class OtherHost(case.Case):
    def edited(self, image, edit):
        """A copy of the image as that other host would have written it."""
        path = os.path.join(self.bench.work, f"{edit}-{os.path.basename(image)}")
        tool = os.path.join(self.bench.build, "tests", "tools", "edit_image")
        done = self.bench.run([tool, image, path, edit])
        self.assertEqual(done.returncode, 0, done.stderr)
        return path


HOSTNAME_PROGRAM = """
import os, socket, sys
first = socket.gethostname()
print("ready", flush=True)
sys.stdin.readline()
same = first == socket.gethostname() == os.uname().nodename
print("same" if same else socket.gethostname(), os.popen("hostname").read().strip(), flush=True)
"""


class Hostname(case.Case):
    """The host of the restart is a UTS namespace with a name of its own."""

    def setUp(self):
        super().setUp()
        if not self.bench.am_root:
            self.skipTest("a host of another name needs root")
        self.bench.close()
        self.bench = Bench(self.bench.build, as_root=True)
        self.addCleanup(self.bench.close)

    def restarted_elsewhere(self, pids, *options):
        """What the program says there, after a second checkpoint on that host."""
        job = Job(self.bench, [sys.executable, "-c", HOSTNAME_PROGRAM], stdin=subprocess.PIPE,
                  options=options)
        job.start()
        job.wait_started()
        for _ in range(2):
            job.checkpoint()
            job.kill()
            job.spawn(["unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec "$@"', "sh",
                       self.bench.tool("ckpt"), "restart", "--pids", pids, job.image])
            job.wait_restarted()
        job.popen.stdin.write(b"\n")
        job.popen.stdin.close()
        self.assertEqual(job.finish(), 0, job.report())
        return job.output.lines()

    def test_is_kept_in_a_namespace(self):
        self.assertEqual(self.restarted_elsewhere("namespace", "--keep-hostname"),
                         [f"same {os.uname().nodename}"])

    def test_is_kept_with_real_pids(self):
        self.assertEqual(self.restarted_elsewhere("real", "--keep-hostname"),
                         [f"same {os.uname().nodename}"])

    def test_is_that_of_the_new_host_else(self):
        self.assertEqual(self.restarted_elsewhere("namespace"), ["elsewhere elsewhere"])


class Vdso(OtherHost):
    def where(self, job):
        """The address of the kernel's own vdso in the job."""
        with open(f"/proc/{job.pid()}/maps", encoding="utf-8", errors="replace") as file:
            return [line.split("-")[0] for line in file if line.rstrip().endswith("[vdso]")]

    def next_life(self, job, edit=None):
        """Checkpoint, kill, restart, from an edited image if `edit` names one."""
        image = job.checkpoint()
        before = self.where(job)
        job.kill()
        job.restart(image=self.edited(image, edit) if edit else image)
        job.wait_restarted()
        after = self.where(job)
        if edit:
            self.assertNotEqual(after, before, "the host's vdso lies where the old one was")
        else:
            self.assertEqual(after, before)
        time.sleep(0.05)

    def lives(self, job):
        """Another kernel; the same kernel again; a third one, to which two old vdsos now lead."""
        job.wait_started()
        self.next_life(job, "vdso")
        self.next_life(job)
        self.next_life(job, "vdso")
        job.checkpoint()
        self.finish_well(job)

    def guest_lives(self, name):
        self.lives(self.start(name, ready=False))

    def test_monotonic(self):
        self.guest_lives("monotonic")

    def test_counter(self):
        self.guest_lives("counter")

    def test_clocks_of_cxx_in_threads(self):
        self.guest_lives("clock_threads")

    def test_threads_that_wait_with_deadlines(self):
        self.guest_lives("threads_condvar")

    def test_exceptions(self):
        self.guest_lives("exceptions")

    def test_python_clocks(self):
        job = Job(self.bench, [shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin"), "-c",
                               PYTHON_CLOCKS], env={"GUEST_GO": self.go})
        job.start()
        self.lives(job)

    def test_programs_that_a_restarted_shell_starts(self):
        job = Job(self.bench, ["bash", "-c", "echo ready; read line; date +%s > now; "
                               "[ $(($(date +%s) - $(cat now))) -lt 60 ] && echo ok"],
                  stdin=subprocess.PIPE)
        job.start()
        job.wait_started()
        self.next_life(job, "vdso")
        job.popen.stdin.write(b"go\n")
        job.popen.stdin.flush()
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.output.lines(), ["ok"], job.report())

    def test_another_layout(self):
        job = self.start("monotonic")
        self.next_life(job, "vdso-layout")
        self.next_life(job)
        self.finish_well(job)

    def test_a_function_that_this_kernel_lacks(self):
        job = self.start("counter")
        path = self.edited(job.checkpoint(), "vdso-unknown")
        job.kill()
        self.assert_fails(self.bench.ckpt("restart", path), REFUSED, about=["__vdso_unseen"])
        job.restart()  # the good image
        job.wait_restarted()
        self.finish_well(job)


class Refused(OtherHost):
    """Before anything is started."""

    def refuse(self, edit, *codes, about):
        job = self.start()
        image = job.checkpoint()
        job.kill()
        path = self.edited(image, edit)
        strace = shutil.which("strace")
        trace = os.path.join(self.bench.work, "trace")
        command = [self.bench.tool("ckpt"), "restart", path]
        if strace:
            # In a sanitizer build the search for leaks traces, too, and fails under another tracer.
            command = [strace, "-f", "-o", trace, "-e", "trace=clone,clone3,fork,vfork,execve",
                       "-E", "ASAN_OPTIONS=detect_leaks=0"] + command
        done = self.bench.run(command)
        self.assert_fails(done, *codes, about=about)
        if strace:
            with open(trace, encoding="utf-8", errors="replace") as file:
                started = [line for line in file if "fork(" in line or "CLONE_NEW" in line
                           or ("clone" in line and "CLONE_VM" not in line)]
            self.assertEqual(started, [], "processes were started")
        job.restart(image=image)
        job.wait_restarted()
        self.finish_well(job)

    def test_cpu(self):
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            features = next((line for line in file if line.startswith("flags")), "").split()
        missing = [name for name in ("3dnow", "amx_tile") if name not in features]
        if not missing:
            self.skipTest("this CPU lacks neither 3DNow! nor AMX")
        self.refuse("cpu", REFUSED, about=missing + ["a CPU of another make"])

    def test_agent(self):
        self.refuse("agent", REFUSED, about=["agent", "version"])

    def test_format(self):
        self.refuse("newer", BAD_IMAGE, about=["newer version of ckrun"])


if __name__ == "__main__":
    sys.exit(case.main(__name__))
