#!/usr/bin/python3
"""Real programs that move between hosts, and hand-overs in which something dies or is cut."""
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apart import Apart  # noqa: E402
from moving import Moving  # noqa: E402
from harness import case  # noqa: E402
from harness.job import STEP_SECONDS, USER_ID  # noqa: E402


class Programs(Moving):
    """Real ones go round; what they print equals what they print undisturbed."""

    def undisturbed(self, *command):
        return subprocess.run(self.a.command(command, USER_ID), cwd=self.shared,
                              env=self.a.environment(USER_ID), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, timeout=STEP_SECONDS, check=True).stdout

    def goes_round(self, *command):
        expected = self.undisturbed(*command)
        self.start(self.a, "trip", *command)
        self.until(lambda: self.state(self.a, "trip") == "running", "it runs")
        self.move_round()
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
        self.goes_round("sh", "-c", "xz --threads=8 --block-size=500KiB --stdout -7 "
                        "/usr/bin/python3 /usr/bin/perl /usr/bin/gdb | md5sum")

    def test_pipeline(self):
        self.goes_round("bash", "-c", "seq 1 700000 | sort -R --random-source=/dev/zero | "
                        "sort -n | gzip -c | gzip -dc | md5sum")

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
        command = [self.bench.tool("ckpt"), "migrate", *self.options, "trip", "b"]
        moving = subprocess.Popen(
            self.a.command(command, USER_ID), cwd="/",
            env=self.a.environment(USER_ID), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(moving.wait)
        self.addCleanup(moving.kill)
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

    def cut(self, trigger_host, trigger):
        moving = self.begin(trigger_host, trigger)
        self.b.link("down")
        time.sleep(2)  # longer than all that waits for an answer
        self.b.link("up")
        self.settles(moving)


class Faults(Faulty):
    """Whatever dies, or is cut, and whenever: in the end one copy of the job runs, and it is right."""


class Large(Faulty):
    """The same with a job whose memory goes in advance, in rounds."""

    def start_it(self):
        self.start_guest(self.a, "trip", "memory_changes")

    def ends_right(self, host):
        super().ends_right(host)
        for each in self.every:
            kept = os.path.join(each.home, ".local/state/ckrun/.incoming")
            self.assertEqual(os.listdir(kept) if os.path.exists(kept) else [], [])


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
            if name in SHIPPED:
                setattr(Shipped, f"test_{where}_is_killed_{name}", killed)
                setattr(Large, f"test_{where}_is_killed_{name}", killed)
            if name in SENT:
                setattr(Large, f"test_link_is_cut_{where}_{name}", cut)


add_faults()

if __name__ == "__main__":
    sys.exit(case.main(__name__))
