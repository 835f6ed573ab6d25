#!/usr/bin/python3
"""What a job pays for ckrun: no thread in the program, and in the supervisor a bounded amount of
memory, whatever the job's size."""
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402
from harness.job import Job  # noqa: E402

MIB_OF_JOB, MOST_MIB = 600, 64

# Half of it random, half of it twice as long as its information; none of it is there twice.
BIG_PROGRAM = f"""
import os, random, time
random.seed(1)
data = [random.randbytes(1 << 20) for _ in range({MIB_OF_JOB // 2})]
data += [random.randbytes(1 << 19).hex().encode() for _ in range({MIB_OF_JOB // 2})]
print("ready", flush=True)
while not os.path.exists(os.environ["GUEST_GO"]):
    time.sleep(0.01)
random.seed(1)
assert all(part == random.randbytes(1 << 20) for part in data[:{MIB_OF_JOB // 2}])
assert all(bytes.fromhex(part.decode()) == random.randbytes(1 << 19)
           for part in data[{MIB_OF_JOB // 2}:])
print("ok")
"""


def peak_mib(pid):
    return int(processes.status(pid)["VmHWM"].split()[0]) / 1024


def thread_ids(pid):
    try:
        return sorted(os.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return []


class Watch:
    """All sets of threads that a process has while the block runs."""

    def __init__(self, pid):
        self.pid, self.seen, self.over = pid, set(), threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self):
        while not self.over.wait(0.001):
            self.seen.add(tuple(thread_ids(self.pid)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Memory(case.Case):
    def of_the_supervisor(self, *options):
        python = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
        job = Job(self.bench, [python, "-c", BIG_PROGRAM], env={"GUEST_GO": self.go},
                  options=options)
        job.start()
        job.wait_started()
        before = peak_mib(job.popen.pid)
        image = job.checkpoint()
        after = peak_mib(job.popen.pid)
        print(f"supervisor: {before:.0f} MiB before, {after:.0f} MiB at most")
        self.assertGreater(os.path.getsize(image), MIB_OF_JOB << 19, "the job is not that big")
        self.assertLessEqual(after - before, MOST_MIB)
        job.kill()
        job.restart()
        job.wait_restarted()
        restart = peak_mib(job.popen.pid)
        print(f"restart: {restart:.0f} MiB at most")
        self.assertLessEqual(restart - before, MOST_MIB)
        self.finish_well(job)

    def test_of_the_supervisor_raw(self):
        self.of_the_supervisor("--compress", "none")

    def test_of_the_supervisor_zstd(self):
        self.of_the_supervisor("--compress", "zstd")


class Threads(case.Case):
    def bare(self, guest):
        """How many threads the guest has without ckrun."""
        with subprocess.Popen([self.guest(guest)], stdout=subprocess.PIPE, cwd=self.bench.work,
                              env={**self.bench.environment, "GUEST_GO": self.go},
                              **self.bench.identity()) as popen:
            self.assertEqual(popen.stdout.readline(), b"ready\n")
            time.sleep(0.2)
            count = len(thread_ids(popen.pid))
            popen.kill()
        return count

    def no_thread_is_added(self, guest):
        count = self.bare(guest)
        job = self.start(guest)
        time.sleep(0.2)
        own = thread_ids(job.pid())
        self.assertEqual(len(own), count)
        with Watch(job.pid()) as watch:
            for _ in range(3):
                job.checkpoint()
        self.assertEqual(watch.seen, {tuple(own)})
        job.kill()
        job.restart()
        pid = job.wait_restarted()
        self.assertEqual(len(thread_ids(pid)), count)
        self.finish_well(job)

    def test_single(self):
        self.no_thread_is_added("counter")

    def test_several(self):
        self.no_thread_is_added("threads_condvar")


if __name__ == "__main__":
    sys.exit(case.main(__name__))
