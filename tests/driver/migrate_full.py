#!/usr/bin/python3
"""Real programs that move between hosts, and hand-overs in which something dies or is cut."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apart import Apart  # noqa: E402
from moving import GROWS, Moving  # noqa: E402
from harness import case  # noqa: E402
from harness.job import STEP_SECONDS, USER_ID  # noqa: E402


# A program runs again and again until told to end, so that no machine is too fast for its moves.
REPEATED = 'while "$@" | md5sum && test ! -e "$0"; do :; done | uniq'


class Programs(Moving):
    """Real ones go round; what they print equals what they print undisturbed."""

    def undisturbed(self, *command):
        return subprocess.run(self.a.command(command, USER_ID), cwd=self.shared,
                              env=self.a.environment(USER_ID), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=STEP_SECONDS, check=True).stdout

    def goes_round(self, *program):
        command = ("bash", "-c", REPEATED, self.go, *program)
        self.release()
        expected = self.undisturbed(*command)
        self.hold()
        self.start(self.a, "trip", *command)
        self.until(lambda: self.state(self.a, "trip") == "running", "it runs")
        self.move_round()
        self.release()
        self.ends(self.a, "trip")
        self.assertEqual(self.text("trip"), expected.decode())

    def move_round(self):
        for source, target in ((self.a, self.b), (self.b, self.c), (self.c, self.a)):
            figures = self.migrate(source, "trip", target)
            print(f"{source.name} to {target.name}:", figures)

    def program(self, name):
        return os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "apps", "programs",
                            name)

    def test_numpy(self):
        self.goes_round(sys.executable, self.program("numpy_job.py"), "40", "60")

    def test_eight_threads(self):
        self.goes_round("xz", "--threads=8", "--block-size=500KiB", "--stdout", "-7",
                        "/usr/bin/python3", "/usr/bin/perl", "/usr/bin/gdb")

    def test_pipeline(self):
        self.goes_round("bash", "-c", "seq 1 700000 | sort -R --random-source=/dev/zero | "
                        "sort -n | gzip -c | gzip -dc")

    def test_redis(self):
        """A server with its clients, which ask all the time."""
        if not shutil.which("redis-server"):
            self.skipTest("redis-server is not installed")
        folder = os.path.join(self.shared, "redis")
        os.mkdir(folder)
        os.chown(folder, USER_ID, USER_ID)
        command = ("env", "-C", folder, "bash", self.program("redis_job.sh"), "7399", "6000",
                   self.go, "0.001")
        self.release()
        expected = self.undisturbed(*command)
        self.hold()
        self.start(self.a, "trip", *command)
        self.until(lambda: self.text("trip").count("\n") > 100, "there are answers")
        self.move_round()
        self.release()
        self.ends(self.a, "trip")
        self.assertEqual(self.text("trip"), expected.decode())

    def test_trees_of_python(self):
        self.goes_round(sys.executable, self.program("pool.py"), "2000")


class Faulty(Moving):
    names = "ab"
    options = ()

    def start_it(self):
        self.start_guest(self.a, "trip", "counter")

    def ends_right(self, host):
        self.ends_well(host, "trip")

    def unfinished(self, host):
        return json.loads(self.good(host.ckpt("resolve", "--json")))

    def begin(self, trigger_host, trigger):
        """A migration under way, as far as that line of the log."""
        self.start_it()
        moving = self.migrating(self.a, self.b, *self.options)
        trigger_host.log.wait_for(trigger)
        return moving

    def settles(self, moving):
        """Once whoever asked for the move has his answer: until then it may begin anew."""
        moving.wait(STEP_SECONDS)
        self.until(lambda: not self.unfinished(self.a) and not self.unfinished(self.b),
                   "both journals are settled" + self.logs())
        states = [self.state(self.a, "trip"), self.state(self.b, "trip")]
        self.assertEqual(states.count("running"), 1, str(states) + self.logs())
        self.ends_right(self.every[states.index("running")])

    def killed(self, host, trigger):
        moving = self.begin(host, trigger)
        host.kill()
        host.start()
        self.settles(moving)

    def goes_down(self, host, trigger):
        moving = self.begin(host, trigger)
        host.go_down()
        ran = host is self.b and b"phase=taken" in host.log.text
        host.start()
        if ran:  # it was too quick for us, and died with its host
            self.until(lambda: self.state(host, "trip") in ("running", "dead"), "its image is there")
        else:
            self.settles(moving)

    def cut(self, trigger_host, trigger):
        moving = self.begin(trigger_host, trigger)
        self.b.link("down")
        time.sleep(2)  # longer than all that waits for an answer
        self.b.link("up")
        self.settles(moving)


class CalledOff(Faulty):
    def test_daemon_is_stopped_while_the_job_stands_still(self):
        self.begin(self.a, "begins .*step=freeze")
        self.b.link("down")
        self.a.log.wait_for("begins .*step=send")
        self.assertEqual(self.a.stop(), 0)
        self.ends_right(self.a)

    def test_before_the_job_is_held(self):
        """What the step had started must not hold it later."""
        folder = self.bench.make_folder("slow")
        for path in (folder, os.path.join(folder, "bin")):
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o755)
        shutil.copy(self.bench.tool("ckd"), os.path.join(folder, "bin", "ckd"))
        slow = os.path.join(folder, "bin", "ckpt")
        with open(slow, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\ncase "$*" in *--hold*) sleep 1;; esac\n'
                       f'exec {self.bench.tool("ckpt")} "$@"\n')
        os.chmod(slow, 0o755)
        usual = self.a.ckd_command
        self.a.ckd_command = lambda *words: [os.path.join(folder, "bin", "ckd"), *usual(*words)[1:]]
        self.a.stop()
        self.a.start()
        moving = self.begin(self.a, "begins .*step=freeze")
        moving.send_signal(signal.SIGINT)
        self.a.log.wait_for("phase=kept-done")
        time.sleep(1.5)  # longer than that would have been late
        self.assertIsNone(self.pid_in(self.a, "held"))
        self.ends_right(self.a)


class OfAllUsers(Moving):
    """Daemons of root."""
    names = "ab"
    user = 0

    def test_links_of_users_lead_nowhere(self):
        """Whose job it is only the journal tells."""
        roots = os.path.join(self.a.folder, "roots")
        image = os.path.join(roots, "trip", "gen-000001.ckpt")
        os.makedirs(os.path.dirname(image))
        os.chmod(roots, 0o700)
        with open(image, "w", encoding="ascii"):
            pass
        jobs = self.jobs_file(self.a)
        os.makedirs(os.path.dirname(jobs.rstrip("/")), exist_ok=True)
        os.symlink(roots, jobs.rstrip("/"))
        self.a.stop()
        row = {"id": "0" * 32, "role": "source", "phase": "delivered", "over": 0, "counter": 2,
               "forced": 0, "was_ready": 0, "job": "aaaaaaaa", "token_counter": 1,
               "token_host": "a", "token_supervisor": 1, "token_start": 1, "lease": 0, "peer": "b",
               "user": "ann", "image": os.path.join(jobs, "trip", "gen-000001.ckpt"),
               "begun_ms": 1, "changed_ms": 1}
        journal = sqlite3.connect(os.path.join(self.a.folder, "journal", "handovers.sqlite"))
        with journal:
            journal.execute(f"INSERT INTO handovers ({', '.join(row)}) "
                            f"VALUES ({', '.join(':' + name for name in row)})", row)
        journal.close()
        self.a.start()
        self.a.log.wait_for("step=drop-image .*Permission denied")
        self.assertTrue(os.path.exists(image))


class Faults(Faulty):
    """Whatever dies, or is cut, and whenever: in the end one copy of the job runs, and it is right."""


class Large(Faulty):
    """The same with a job whose memory goes in advance, in rounds."""

    def start_it(self):
        self.start_guest(self.a, "trip", "memory_changes")

    def ends_right(self, host):
        super().ends_right(host)
        for each in self.every:
            jobs = os.path.join(each.home, ".local/state/ckrun")
            kept = os.path.join(jobs, ".incoming")
            self.assertEqual(os.listdir(kept) if os.path.exists(kept) else [], [])
            self.assertFalse(os.path.exists(os.path.join(jobs, "trip", "held")), each.name)


# Three processes share 40 MiB until one of them changes a page of its own.
FORKS = """
import os, sys, time
go = sys.argv[1]
memory = bytearray(os.urandom(40 << 20))
total = sum(memory)
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        children = None
        break
    children.append(pid)
if children:
    print("ready", flush=True)
while not os.path.exists(go):
    at = (time.monotonic_ns() * 997 + os.getpid()) % len(memory)
    total -= memory[at]
    memory[at] = at & 255
    total += memory[at]
    time.sleep(0.005)
right = total == sum(memory)
for pid in children or ():
    right = os.waitpid(pid, 0)[1] == 0 and right
if children:
    print("ok" if right else "wrong", flush=True)
os._exit(0 if right else 1)
"""


class Slow(Moving):
    """A link of 20 ms each way, on which one packet of a hundred is lost."""
    names = "ab"

    def setUp(self):
        super().setUp()
        self.network.make_slow(self.b, 20, 0.01)

    def there_and_back(self):
        print("there:", self.migrate(self.a, "trip", self.b))
        print("and back:", self.migrate(self.b, "trip", self.a))

    def test_threads(self):
        self.start_guest(self.a, "trip", "malloc_threads")
        self.there_and_back()
        self.ends_well(self.a, "trip")

    def start_zeros(self):
        none = os.path.join(self.shared, "none")
        self.start_grows(none, none, GROWS.replace("os.urandom(40 << 20)", "40 << 20"))

    def test_memory_goes_in_advance(self):
        self.start_zeros()
        self.there_and_back()
        self.ends_well(self.a, "trip")

    def test_small_jobs_go_in_advance_too(self):
        """Some megabytes take many round trips: it is their changes that are sent at last."""
        none = os.path.join(self.shared, "none")
        self.start_grows(none, none, GROWS.replace("os.urandom(40 << 20)", "1 << 20"))
        moved = self.migrate(self.a, "trip", self.b)
        self.assertLess(moved["image_bytes"], moved["sent_bytes"] / 2, moved)
        self.ends_well(self.b, "trip")

    def test_compression_is_for_the_link(self):
        """What the other host may have is compressed as usual; the rest as the link is worth it."""
        self.start_zeros()
        done = self.a.ckpt("migrate", "--bandwidth", "1M", "trip", "b", user=USER_ID)
        self.assertEqual(done.returncode, 0, done.stderr + self.logs())
        self.a.log.wait_for("step=freeze-and-capture ms=.* compression=zstd:[36] .*")
        self.ends_well(self.b, "trip")

    def test_link_is_cut_as_well(self):
        self.start_guest(self.a, "trip", "counter")
        moving = self.migrating(self.a, self.b)
        self.a.log.wait_for("begins .*step=send")
        self.b.link("down")
        time.sleep(2)
        self.b.link("up")
        moving.wait(2 * STEP_SECONDS)
        self.until(lambda: [self.state(host, "trip") for host in self.every].count("running") == 1,
                   "one of them runs it")
        self.ends_well(self.a if self.state(self.a, "trip") == "running" else self.b, "trip")


class InAdvance(Moving):
    """The other host puts memory in place while the job still runs here."""
    names = "ab"

    def begin(self):
        """A migration that goes on with its copy for some seconds."""
        return self.migrating(self.a, self.b, "--bandwidth", "20M", stdout=subprocess.PIPE)

    def ends_moved(self, moving):
        told = moving.communicate(timeout=2 * STEP_SECONDS)[0]
        self.assertEqual(moving.returncode, 0, told.decode() + self.logs())
        runs_by = self.pid_in(self.b, "incarnation")
        self.assertIsNone(self.pid_in(self.b, "held"))
        self.ends_well(self.b, "trip")
        return runs_by

    def test_goes_on_from_there(self):
        self.start_guest(self.a, "trip", "memory_changes")
        moving = self.begin()
        self.until(lambda: self.pid_in(self.b, "held"), "memory is put in place")
        self.assertEqual(self.state(self.a, "trip"), "running")
        self.assertIn("held", self.good(self.b.ckpt("ls", user=USER_ID)))
        put_by = self.pid_in(self.b, "held")
        self.assertEqual(self.ends_moved(moving), put_by)

    def test_who_put_it_there_is_killed(self):
        self.start_guest(self.a, "trip", "memory_changes")
        moving = self.begin()
        self.until(lambda: self.pid_in(self.b, "held"), "memory is put in place")
        put_by = self.pid_in(self.b, "held")
        os.kill(put_by, signal.SIGKILL)
        self.assertNotEqual(self.ends_moved(moving), put_by)

    def test_job_has_changed_too_much(self):
        grow, told = (os.path.join(self.shared, name) for name in ("grow", "told"))
        self.start_grows(grow, told)
        moving = self.begin()
        self.until(lambda: os.path.exists(self.jobs_file(self.a, "trip", ".early-0.ckpt")),
                   "the first image is taken")
        with open(grow, "wb"):
            pass
        self.until(lambda: os.path.exists(told), "it has another thread")
        self.until(lambda: self.pid_in(self.b, "held"), "memory is put in place")
        put_by = self.pid_in(self.b, "held")
        self.assertNotEqual(self.ends_moved(moving), put_by)
        with open(self.jobs_file(self.b, "trip", "restart.log"), encoding="utf-8") as file:
            self.assertIn("has another number of threads since its memory", file.read())

    def there_and_back(self):
        for _ in range(2):
            self.migrate(self.a, "trip", self.b)
            self.migrate(self.b, "trip", self.a)
        for host in self.every:
            with open(self.jobs_file(host, "trip", "restart.log"), encoding="utf-8") as file:
                self.assertNotIn("in advance", file.read())
        self.ends_well(self.a, "trip")

    def test_there_and_back(self):
        self.start_guest(self.a, "trip", "memory_changes")
        self.there_and_back()

    def test_processes_that_share_memory(self):
        path = os.path.join(self.shared, "forks.py")
        with open(path, "w", encoding="ascii") as file:
            file.write(FORKS)
        self.start(self.a, "trip", sys.executable, path, self.go)
        self.until(lambda: "ready" in self.text("trip"), "it is ready")
        self.there_and_back()


class Shipped(Apart, Faulty):
    """The same with files that go along: they are all there, or nothing of them."""
    options = ("--files", "ship")

    def start_it(self):
        self.put(self.a, "deep/input", "mine")
        self.start_counter(self.a)

    def ends_right(self, host):
        if host is self.a:
            self.assertEqual(self.all_names(self.b), [])
        self.assertEqual(self.content(host, "deep/input"), "mine")
        for each in self.every:
            self.assertEqual([name for name in self.all_names(each) if ".ckrun" in name], [])
        self.ends_there(host)


SOURCE_TRIGGERS = {
    "offer": "says .*what=Offer", "copying": "begins .*step=copy", "pausing": "phase=pausing", "freezing": "begins .*step=freeze",
    "sending": "begins .*step=send", "sealed": "says .*what=Sealed", "given": "phase=given",
    "ending": "begins .*step=end", "telling": "says .*what=Given", "delivered": "phase=delivered"}
TARGET_TRIGGERS = {
    "checking": "begins .*step=pre", "accepted": "phase=accepted",
    "restoring": "begins .*step=restore", "ready": "phase=ready", "taken": "phase=taken",
    "releasing": "begins .*step=release", "told": "says .*what=Taken"}


# Between which the files come, are put at their places, and stay or are taken back.
SHIPPED = ("copying", "sending", "sealed", "given", "telling", "accepted", "restoring", "ready", "taken",
           "releasing", "told")
SENT = ("copying", "sending", "restoring")
# A host that goes down takes the job that runs there along, as without a hand-over: not before there
# is an image, nor once it may run at the target.
SOURCE_HAS_IMAGE = ("sending", "sealed", "given", "ending", "telling", "delivered")
TARGET_HOLDS_IT = ("checking", "accepted", "restoring", "ready")


def add_faults():
    for side, triggers in (("a", SOURCE_TRIGGERS), ("b", TARGET_TRIGGERS)):
        where = "source" if side == "a" else "target"
        for name, line in triggers.items():
            def killed(self, side=side, line=line):
                self.killed(getattr(self, side), line)

            def cut(self, side=side, line=line):
                self.cut(getattr(self, side), line)
            setattr(Faults, f"test_{where}_is_killed_{name}", killed)
            setattr(Faults, f"test_link_is_cut_{where}_{name}", cut)

            def down(self, side=side, line=line):
                self.goes_down(getattr(self, side), line)
            if name in SOURCE_HAS_IMAGE + TARGET_HOLDS_IT:
                setattr(Faults, f"test_{where}_goes_down_{name}", down)
            if name in SHIPPED:
                setattr(Shipped, f"test_{where}_is_killed_{name}", killed)
                setattr(Large, f"test_{where}_is_killed_{name}", killed)
            if name in SENT:
                setattr(Large, f"test_link_is_cut_{where}_{name}", cut)


add_faults()

if __name__ == "__main__":
    sys.exit(case.main(__name__))
