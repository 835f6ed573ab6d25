#!/usr/bin/python3
"""Hosts that the load policy chooses, by command."""
import json
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from loads import Loads  # noqa: E402
from harness import case  # noqa: E402
from harness.job import USER_ID  # noqa: E402

USAGE, NOT_FOUND, REFUSED, TRY_AGAIN, PERMISSION = 64, 66, 69, 75, 77


class Choose(Loads):
    def test_a_job_goes_to_the_best_host_and_stays_there(self):
        self.set_load(self.a, 0.8)
        self.set_load(self.b, 0.7)
        self.start_busy(self.a, "trip", options=("--class", "night"))
        self.assertEqual(self.job_class(self.a, "trip"), "night")
        done = self.a.ckpt("migrate", "--auto", "trip", user=USER_ID)
        self.assertEqual(self.good(done), "trip runs on c: load 0.80 here, 0.10 at c\n")
        self.assertEqual(self.place_of("trip"), ["c"])
        self.assertEqual(self.job_class(self.c, "trip"), "night")
        row = self.rows(self.c, "migrate", "--auto", "trip")["trip"]
        self.assertEqual((row["host"], row["moved"], row["failed"]), ("c", False, False))
        self.ends_well(self.c, "trip")

    def test_why_no_host_takes_a_job(self):
        for host in (self.b, self.c):
            self.set_load(host, 1.2)
        self.start_busy(self.a, "trip")
        self.start_busy(self.a, "kept", options=("--class", "still"))
        self.start_busy(self.a, "odd", options=("--class", "unheard-of"))
        for name, about in (("trip", ["b has a load of 1.20, not below 1.00", "host c"]),
                            ("kept", ["class still has checkpointmode 0"]),
                            ("odd", ["class unheard-of is not in ckd.toml"])):
            self.fails(self.a.ckpt("migrate", "--auto", name, user=USER_ID), REFUSED, about=about)
            self.assertEqual(self.state(self.a, name), "running")
        self.fails(self.a.ckpt("migrate", "--auto", "none", user=USER_ID), NOT_FOUND)
        self.fails(self.a.ckpt("migrate", "--auto", "trip", "b", user=USER_ID), USAGE)
        self.fails(self.a.ckpt("migrate", "trip", user=USER_ID), USAGE, about=["--auto"])
        self.ends_well(self.a, "trip")

    def test_one_look_at_all_jobs(self):
        self.good(self.a.ckpt("migrate", "--auto", user=USER_ID))
        self.start_busy(self.a, "one")
        self.start_busy(self.a, "two")
        for row in self.rows(self.a, "migrate", "--auto").values():
            self.assertFalse(row["moved"])
            self.assertIn("below loadcheckpoint 1.50 of class default", row["reason"])
        self.set_load(self.a, 3)
        rows = self.rows(self.a, "migrate", "--auto")
        moved = [name for name, row in rows.items() if row["moved"]]
        self.assertEqual((len(rows), len(moved)), (2, 1))
        self.assertIn("load 3.00 here, 0.10 at", rows[moved[0]]["reason"])
        self.assertEqual(self.place_of(moved[0]), [rows[moved[0]]["host"]])
        self.release()
        for name, row in rows.items():
            self.ends(getattr(self, row["host"]), name)


class Settings(Loads):
    names = "ab"

    def test_a_changed_class_holds_after_a_reload(self):
        self.start_busy(self.a, "trip")
        self.set_load(self.a, 0.9)
        self.assertFalse(self.rows(self.a, "migrate", "--auto")["trip"]["moved"])
        said = f'minimum_stay = "{self.stay}"\n'
        self.a.edit("ckd.toml", said, said + "loadcheckpoint = 0.8\n")
        self.a.daemon.send_signal(signal.SIGHUP)
        self.a.log.wait_for("reload failed .*ckd.toml, line .*class default: loadsched must not be")
        self.a.edit("ckd.toml", said, said + "loadsched = 0.5\n")
        self.reload(self.a)
        self.assertTrue(self.rows(self.a, "migrate", "--auto")["trip"]["moved"])
        self.ends_well(self.b, "trip")


class Top(Loads):
    names = "ab"

    def test_one_view(self):
        self.start_busy(self.b, "trip", options=("--class", "night"))
        view = json.loads(self.good(self.a.ckpt("top", "--once", "--json", user=USER_ID)))
        self.assertEqual([row["name"] for row in view["hosts"]], ["a", "b"])
        self.assertEqual([(row["host"], row["name"], row["class"]) for row in view["jobs"]],
                         [("b", "trip", "night")])
        text = self.good(self.a.ckpt("top", "--once", user=USER_ID))
        self.assertIn("\nb ", text)
        self.assertIn(" trip ", text)
        self.fails(self.a.ckpt("top", user=USER_ID), USAGE, about=["terminal", "--once"])
        self.ends_well(self.b, "trip")


if __name__ == "__main__":
    sys.exit(case.main(__name__))
