#!/usr/bin/python3
"""Jobs that move between hosts."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from moving import Moving  # noqa: E402
from harness import case  # noqa: E402
from harness.job import USER_ID  # noqa: E402

NOT_FOUND, REFUSED, TRY_AGAIN, PERMISSION = 66, 69, 75, 77


class Move(Moving):
    def test_a_job_goes_round(self):
        self.start_guest(self.a, "trip", "counter")
        for source, target in ((self.a, self.b), (self.b, self.c), (self.c, self.a)):
            figures = self.migrate(source, "trip", target)
            self.assertGreater(figures["sent_bytes"], 0)
            self.assertEqual(self.state(target, "trip"), "running")
            self.assertNotEqual(self.state(source, "trip"), "running")
        self.ends_well(self.a, "trip")

    def test_settings_go_along(self):
        chosen = ("--interval", "1h", "--keep", "3", "--compress", "zstd:4", "--stop-exit", "9",
                  "--timeout", "77s", "--tcp", "refuse", "--class", "night", "-s", "SIGUSR1")
        self.start_guest(self.a, "trip", "counter", options=chosen)

        def kept(host):
            path = os.path.join(host.home, ".local/state/ckrun/trip/job.json")
            with open(path, encoding="utf-8") as file:
                job = json.load(file)
            return job["settings"], job["request_signal"]
        here = kept(self.a)
        self.assertEqual((here[0]["interval_ms"], here[0]["class"]), (3600000, "night"))
        self.migrate(self.a, "trip", self.b)
        self.assertEqual(kept(self.b), here)
        self.ends_well(self.b, "trip")

    def test_who_started_it_gets_its_status(self):
        process = self.start(self.a, "trip", "sh", "-c",
                             'echo ready; while [ ! -e "$GUEST_GO" ]; do :; done; exit 7',
                             stderr=subprocess.PIPE)
        self.until(lambda: "ready" in self.text("trip"), "it runs")
        for source, target in ((self.a, self.b), (self.b, self.c)):
            self.migrate(source, "trip", target)
        self.release()
        self.assertEqual(process.wait(60), 7)
        with process.stderr as errors:
            self.assertEqual(errors.read(), b"ckrun: job trip runs on host b now\n")

    def test_figures_are_printed(self):
        self.start_guest(self.a, "trip", "counter")
        done = self.a.ckpt("migrate", "trip", "b", user=USER_ID)
        self.assertRegex(self.good(done), r"^trip runs on b: .* sent in .*, it stood still for .*\n$")
        self.ends_well(self.b, "trip")

    def test_what_moved_is_not_restarted_where_it_was(self):
        self.start_guest(self.a, "trip", "counter")
        self.good(self.a.ckpt("trip", user=USER_ID))
        self.migrate(self.a, "trip", self.b)
        self.assertEqual(self.state(self.a, "trip"), "elsewhere")
        done = self.a.ckpt("restart", "trip", user=USER_ID)
        self.fails(done, TRY_AGAIN, about=["b"])
        self.ends_well(self.b, "trip")

    def test_a_process_moves_by_its_pid(self):
        process = self.start_guest(self.a, "trip", "counter")
        done = self.a.ckpt("migrate", process.pid, "b", user=USER_ID)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.ends_well(self.b, "trip")


class Refused(Moving):
    """The job is not even paused."""

    def refused(self, host, *codes, about=()):
        before = self.ticks()
        self.fails(self.a.ckpt("migrate", "trip", host, user=USER_ID), *codes, about=about)
        self.until(lambda: self.ticks() > before, "the job computes")
        rows = json.loads(self.good(self.a.ckpt("ls", "--json", user=USER_ID)))
        self.assertEqual([(row["state"], row["images"]) for row in rows], [("running", [])])

    def ticks(self):
        rows = json.loads(self.good(self.a.ckpt("ls", "--json", user=USER_ID)))
        children = f"/proc/{rows[0]['supervisor']}/task/{rows[0]['supervisor']}/children"
        with open(children, encoding="ascii") as file:
            child = file.read().split()[0]
        with open(f"/proc/{child}/stat", encoding="ascii") as file:
            return int(file.read().rpartition(")")[2].split()[11])

    def test_there_is_no_such_host_or_job(self):
        self.start_guest(self.a, "trip", "counter")
        self.refused("d", NOT_FOUND, about=["host d", "ckpt hosts"])
        self.refused("a", NOT_FOUND, about=["host a"])
        self.fails(self.a.ckpt("migrate", "other", "b"), NOT_FOUND, about=["other"])
        self.ends_well(self.a, "trip")

    def test_a_file_is_not_there(self):
        own = os.path.join(self.a.home, "only here")
        with open(own, "wb"):
            pass
        os.chown(own, USER_ID, USER_ID)
        self.b.hide(self.a.home)
        self.start(self.a, "trip", "sh", "-c", 'exec 5<"$1"; exec "$2"', "sh", own,
                   self.guest("counter"))
        self.until(lambda: "ready" in self.text("trip"), "the guest is ready")
        self.refused("b", REFUSED, about=["only here", "--files ship"])
        self.ends_well(self.a, "trip")

    def test_its_cpu_lacks_something(self):
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            if " avx2 " not in file.read():
                self.skipTest("this CPU has no AVX2")
        self.b.stop()
        self.b.variables["CKRUN_HIDE_CPU"] = "avx2,fma"
        self.b.start()
        self.start_guest(self.a, "trip", "counter")
        self.refused("b", REFUSED, about=["fma, avx2"])
        self.migrate(self.a, "trip", self.c)
        self.ends_well(self.c, "trip")

    def test_the_user_is_unknown_there(self):
        self.b.forget_user()
        self.start_guest(self.a, "trip", "counter")
        self.refused("b", REFUSED, PERMISSION, about=["ann"])
        self.ends_well(self.a, "trip")

    def test_the_host_does_not_answer(self):
        self.start_guest(self.a, "trip", "counter")
        self.b.stop()
        self.fails(self.a.ckpt("migrate", "trip", "b"), REFUSED, about=["too long"])
        self.ends_well(self.a, "trip")


class ByRoot(Moving):
    """Daemons of root become the job's owner, and let nobody else move it."""
    user = 0

    def test_a_job_goes_round(self):
        self.start_guest(self.a, "trip", "counter")
        for source, target in ((self.a, self.b), (self.b, self.c), (self.c, self.a)):
            self.migrate(source, "trip", target)
        home = os.path.join(self.b.home, ".local/state/ckrun/trip")
        self.assertEqual({os.stat(os.path.join(home, name)).st_uid for name in os.listdir(home)},
                         {USER_ID})
        self.ends_well(self.a, "trip")

    def test_from_a_sandbox(self):
        """As far as tools/systemd/sandbox.conf takes rights away from the process."""
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools",
                            "systemd", "sandbox.conf")
        with open(path, encoding="ascii") as file:
            kept = re.search("^CapabilityBoundingSet=(.*)", file.read(), re.M).group(1).split()
        kept = ["+" + name.removeprefix("CAP_").lower() for name in kept]
        plain = self.a.ckd_command
        self.a.ckd_command = lambda *options: [
            "setpriv", "--no-new-privs", "--bounding-set", ",".join(["-all", *kept]),
            *plain(*options)]
        self.a.stop()
        self.a.start()
        self.start_guest(self.a, "trip", "memory_changes")
        self.migrate(self.a, "trip", self.b)
        self.ends_well(self.b, "trip")

    def test_others_do_not_move_it(self):
        process = self.start_guest(self.a, "trip", "counter")
        done = self.a.ckpt("migrate", process.pid, "b", user=USER_ID + 1)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.state(self.a, "trip"), "running")
        self.ends_well(self.a, "trip")


if __name__ == "__main__":
    sys.exit(case.main(__name__))
