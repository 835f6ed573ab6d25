#!/usr/bin/python3
"""Hosts that lack something: disk space, permission, a file that the program had open or mapped."""
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402
from harness.job import Job  # noqa: E402

CANNOT_WRITE, PERMISSION, NOT_FOUND, REFUSED = 74, 77, 66, 69
INSIDE = "CKRUN_TEST_PRIVATE_MOUNTS"
MANY_THREADS = """
import threading, time
threading.stack_size(65536)
for _ in range(100): threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print("ready", flush=True)
while True:
    time.sleep(0.2)
    print("on", flush=True)
"""


class Disk(case.Case):
    def run_in_private_mounts(self):
        """Runs this test again in a mount namespace of its own; True if that was done."""
        if os.environ.get(INSIDE):
            return False
        unshare = ["unshare", "--mount"] if self.bench.am_root else ["unshare", "-Urm"]
        done = subprocess.run([*unshare, sys.executable, os.path.abspath(__file__), "--build",
                               self.bench.build, self.id().split(".", 1)[1]],
                              env={**os.environ, INSIDE: "1"}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=240)
        if "unshare" in done.stderr and "failed" in done.stderr:
            self.skipTest("no private mount namespace here")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return True

    def small_disk(self, megabytes):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs",
                        self.bench.state], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.bench.state], check=False)
        self.bench.give(self.bench.state)

    def test_disk_full(self):
        if self.run_in_private_mounts():
            return
        self.small_disk(64)
        job = self.start(name="full")
        first = job.checkpoint()
        filler = os.path.join(self.bench.state, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass
        self.assert_checkpoint_fails(job)
        names = sorted(os.listdir(os.path.dirname(first)))
        self.assertEqual([name for name in names if "gen-" in name], [os.path.basename(first)])
        self.assertEqual(self.bench.ckpt("verify", first).returncode, 0)
        os.unlink(filler)
        second = job.checkpoint()
        self.assertEqual(self.bench.ckpt("verify", second).returncode, 0)
        self.finish_well(job)

    def test_disk_gets_full_in_the_middle(self):
        if self.run_in_private_mounts():
            return
        self.small_disk(16)
        job = self.start("heap_brk", name="large", options=["--compress", "none"])
        for _ in range(3):
            self.assert_checkpoint_fails(job)
        self.assertLess(shutil.disk_usage(self.bench.state).used, 1 << 20, "a piece was left")
        self.finish_well(job)

    def small_shared_memory(self, size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=1777", "tmpfs", "/dev/shm"],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", "/dev/shm"], check=False)

    def test_shared_memory_full(self):
        """The control area is there: whoever touches a page of it that cannot be had dies."""
        if self.run_in_private_mounts():
            return
        self.small_shared_memory("1m")
        job = Job(self.bench, [sys.executable, "-c", MANY_THREADS], name="crowd")
        job.start()
        job.wait_started()
        for how in ([], ["--stop"]):
            done = self.bench.ckpt(*how, job.pid())
            self.assertEqual(done.returncode, CANNOT_WRITE, done.stderr)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn("in /dev/shm are", done.stderr)
        self.assertIsNone(job.popen.poll())
        subprocess.run(["mount", "-o", "remount,size=16m", "/dev/shm"], check=True)
        job.checkpoint()
        job.kill()
        for name in os.listdir("/dev/shm"):
            os.unlink(os.path.join("/dev/shm", name))
        subprocess.run(["mount", "-o", "remount,size=1m", "/dev/shm"], check=True)
        job.restart()  # with the area in the job's own folder
        self.assertTrue(job.output.wait_for("on"), job.report())
        job.kill()

    def test_shared_memory_full_at_the_start(self):
        if self.run_in_private_mounts():
            return
        self.small_shared_memory("16k")
        job = self.start(name="elsewhere")
        job.checkpoint()
        self.finish_well(job)
        self.small_disk(1)
        with open(os.path.join(self.bench.state, "filler"), "wb", buffering=0) as file:
            file.write(bytes((1 << 20) - (64 << 10)))
        done = self.bench.run([self.bench.tool("ckrun"), "true"])
        self.assert_fails(done, CANNOT_WRITE, about=["control area", "KiB free"])

    def assert_checkpoint_fails(self, job, *codes):
        done = self.bench.ckpt(job.pid())
        self.assertIn(done.returncode, codes or (CANNOT_WRITE,), done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_file_size_limit(self):
        job = self.start("heap_brk", options=["--compress", "none"])
        done = self.bench.run(["prlimit", f"--pid={job.popen.pid}", "--fsize=1048576"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_checkpoint_fails(job)
        self.assertIsNone(job.popen.poll(), "the supervisor died (SIGXFSZ?)")
        self.finish_well(job)

    def test_folder_without_permission(self):
        if not self.bench.am_root and os.geteuid() == 0:
            self.skipTest("root writes everywhere")
        job = self.start(name="locked")
        job.checkpoint()
        folder = os.path.dirname(job.image)
        os.chmod(folder, 0o500)
        self.assert_checkpoint_fails(job, CANNOT_WRITE, PERMISSION)
        os.chmod(folder, 0o700)
        job.checkpoint()
        self.finish_well(job)


class Files(case.Case):
    """Files that are missing or different at the restart."""

    def holder(self, setup):
        """A shell with files open, checkpointed and killed; it ends with "ok" when it reads a line."""
        job = Job(self.bench, ["bash", "-c", f"{setup}; echo ready; read x; echo ok"],
                  stdin=subprocess.PIPE)
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        return job

    def test_open_file_in_a_folder_that_may_not_be_searched(self):
        """As a file that root's daemon has opened for the job."""
        if self.bench.user == 0:
            self.skipTest("root searches every folder")
        folder = os.path.join(self.bench.work, "hidden")
        job = Job(self.bench, ["bash", "-c", "mkdir hidden; exec 5>hidden/out; chmod 0 hidden; "
                                             "echo ready; read x; echo ok"], stdin=subprocess.PIPE)
        job.start()
        job.wait_started()
        done = self.bench.ckpt(job.popen.pid)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn(f"{folder}/out is in a folder that may not be searched", done.stderr)
        os.chmod(folder, 0o700)
        job.checkpoint()
        job.kill()

    def test_open_file_is_missing(self):
        path = os.path.join(self.bench.work, "data")
        job = self.holder(f"echo text > {path}; exec 5<{path}; read y <&5")
        os.unlink(path)
        done = self.bench.ckpt("restart", job.image)
        self.assert_fails(done, NOT_FOUND, REFUSED, about=["data"])

    def test_open_file_is_shorter_than_its_offset(self):
        path = os.path.join(self.bench.work, "data")
        job = self.holder(f"seq 1000 > {path}; exec 5>>{path}; echo more >&5")
        os.truncate(path, 10)
        job.restart()
        deadline = time.monotonic() + 20
        while not job.errors.closed and not job.errors.text and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertIn("data", job.errors.text.decode(), "neither refused nor reported")
        job.kill()

    def test_working_directory_is_missing(self):
        folder = os.path.join(self.bench.work, "gone")
        job = self.holder(f"mkdir {folder}; cd {folder}")
        os.rmdir(folder)
        self.assert_fails(self.bench.ckpt("restart", job.image), NOT_FOUND, REFUSED,
                          about=["gone"])

    def relocated(self):
        """A guest whose executable belongs to this test."""
        path = os.path.join(self.bench.work, "program")
        shutil.copy(self.guest("exceptions"), path)
        self.bench.give(path)
        os.chmod(path, 0o755)
        job = Job(self.bench, [path], env={"GUEST_GO": self.go})
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        return job, path

    def test_executable_is_missing(self):
        job, path = self.relocated()
        os.unlink(path)
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_executable_was_replaced(self):
        job, path = self.relocated()
        os.unlink(path)
        shutil.copy("/bin/true", path)
        self.bench.give(path)
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_executable_was_replaced_before_two_checkpoints(self):
        """The second life runs from the image's own copy, and is checkpointed itself."""
        job, path = self.relocated()
        os.unlink(path)
        shutil.copy("/bin/true", path)
        self.bench.give(path)
        for _ in range(2):
            job.restart()
            job.wait_restarted()
            job.checkpoint()
            job.kill()
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_executable_was_relinked_in_place(self):
        job, path = self.relocated()
        with open(path, "r+b") as file:
            size = os.path.getsize(path)
            file.seek(4096)
            file.write(os.urandom(size - 8192))
        job.restart()
        job.wait_restarted()
        self.finish_well(job)


class Traced(case.Case):
    def test_a_debugger_is_refused_with_its_pid(self):
        strace = shutil.which("strace")
        if not strace:
            self.skipTest("strace is not installed")
        job = self.start()
        tracer = subprocess.Popen([strace, "-o", "/dev/null", "-p", str(job.pid())],
                                  stderr=subprocess.DEVNULL, **self.bench.identity())
        deadline = time.monotonic() + 10
        while processes.status(job.pid())["TracerPid"].strip() == "0":
            if tracer.poll() is not None or time.monotonic() > deadline:
                self.skipTest("strace cannot attach here")
            time.sleep(0.01)
        done = self.bench.ckpt(job.pid())
        self.assertIn(done.returncode, (REFUSED, 75), done.stderr)
        self.assertIn(str(tracer.pid), done.stderr)
        tracer.terminate()
        tracer.wait(10)
        job.checkpoint()
        self.finish_well(job)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
