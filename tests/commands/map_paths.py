#!/usr/bin/python3
"""ckpt restart --map: a job whose files are elsewhere than where it had them."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.job import Job  # noqa: E402

USAGE, SYSTEM, NOT_FOUND, REFUSED = 64, 71, 66, 69

PROGRAM = """
import ctypes, mmap, os, socket, sys, time
os.chdir(sys.argv[1])
log = open("log", "a")
data = open("data", "r+b")
shared = mmap.mmap(data.fileno(), 0)
folder = os.open(".", os.O_RDONLY)
server = socket.socket(socket.AF_UNIX)
server.bind(os.path.abspath("socket"))
server.listen()
libc = ctypes.CDLL(None)
watch = libc.inotify_init1(os.O_NONBLOCK)
libc.inotify_add_watch(watch, os.path.abspath(".").encode(), 0x100)
print("ready", flush=True)
while not os.path.exists(os.environ["GUEST_GO"]):
    time.sleep(0.01)
with open(os.environ["GUEST_GO"]) as file:
    here = file.read()
assert os.getcwd() == here, os.getcwd()
for fd, name in ((log.fileno(), "/log"), (data.fileno(), "/data"), (folder, "")):
    assert os.readlink(f"/proc/self/fd/{fd}") == here + name, os.readlink(f"/proc/self/fd/{fd}")
with open("/proc/self/maps") as maps:
    assert here + "/data" in maps.read()
shared[:4] = b"seen"
log.write("more")
log.close()
assert server.getsockname() == here + "/socket", server.getsockname()
client = socket.socket(socket.AF_UNIX)
client.connect("socket")
open("new", "w").close()
assert b"new" in os.read(watch, 4096)
print("ok", flush=True)
"""


class Map(case.Case):
    def setUp(self):
        super().setUp()
        self.old = self.bench.make_folder("old")
        self.new = os.path.join(self.bench.folder, "new place")
        for name, text in (("log", "begun"), ("data", "data")):
            with open(os.path.join(self.old, name), "w", encoding="ascii") as file:
                file.write(text)
            self.bench.give(file.name)

    def job(self, restart_options=()):
        job = Job(self.bench, [sys.executable, "-c", PROGRAM, self.old],
                  env={"GUEST_GO": self.go}, restart_options=restart_options)
        job.start()
        job.wait_started()
        job.checkpoint()
        job.kill()
        return job

    def release(self):
        with open(self.go + ".part", "w", encoding="utf-8") as file:
            file.write(self.new)
        os.rename(self.go + ".part", self.go)

    def read(self, name):
        with open(os.path.join(self.new, name), encoding="ascii") as file:
            return file.read()

    def goes_on(self, *options):
        job = self.job(options)
        os.rename(self.old, self.new)
        job.restart("--map", f"{self.old}={self.new}")
        job.wait_restarted()
        self.finish_well(job)
        self.assertEqual((self.read("log"), self.read("data")), ("begunmore", "seen"))

    def test_in_namespaces(self):
        self.goes_on("--pids", "namespace")

    def test_with_virtual_ids(self):
        self.goes_on("--pids", "virtual")

    def test_its_next_image_has_the_new_paths(self):
        job = self.job()
        os.rename(self.old, self.new)
        job.restart("--map", f"{self.old}={self.new}")
        job.wait_restarted()
        job.checkpoint()
        job.kill()
        job.restart()
        job.wait_restarted()
        self.finish_well(job)

    def test_without_it_nothing_is_found(self):
        job = self.job()
        shutil.move(self.old, self.new)
        self.assert_fails(self.bench.ckpt("restart", job.name), NOT_FOUND, REFUSED, SYSTEM,
                          about=["old"])

    def test_mistakes(self):
        for text in ("old", "old=/new", "/old=new", "/a/../b=/c", "=/x"):
            self.assert_fails(self.bench.ckpt("restart", "--map", text, "job"), USAGE,
                              about=["OLD=NEW"])

    def test_paths_become_too_long(self):
        job = self.job()
        done = self.bench.ckpt("restart", "--map", f"{self.old}={self.old}/{'x' * 100}", job.name)
        self.assert_fails(done, REFUSED, about=["too long"])


if __name__ == "__main__":
    sys.exit(case.main(__name__))
