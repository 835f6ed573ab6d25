#!/usr/bin/python3
"""Jobs that move between hosts which share no files."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from apart import Apart  # noqa: E402
from harness import case  # noqa: E402
from harness.job import USER_ID  # noqa: E402

REFUSED = 69

NUMPY = """
import numpy, os, time
numpy.save("input.npy", numpy.random.default_rng(7).random((300, 300)))
table = numpy.load("input.npy", mmap_mode="r")
kept = numpy.memmap("kept", dtype="f8", mode="w+", shape=(300,))
with open("result", "w") as result:
    for number in range(1, 4):
        for step in range(40):
            kept += (table @ table[:, step + number]) / 300
            result.write(f"{number} {step} {kept.sum():.12e}\\n")
            if step == 20:
                open(f"at.{number}", "w").close()
            while step == 20 and not os.path.exists(f"go.{number}"):
                time.sleep(0.01)
            result.flush()
print("ok")
"""

SQLITE = """
import os, sqlite3, time
base = sqlite3.connect("base.sqlite")
base.execute("pragma journal_mode=wal")  # without it SQLite insists on the inode that it opened
base.execute("create table t (n integer primary key, text)")
n = 0
for number in range(1, 4):
    open(f"at.{number}", "w").close()
    more = 100
    while more > 0:
        for _ in range(20):
            n += 1
            base.execute("insert into t values (?, ?)", (n, "x" * (n % 97)))
        base.commit()
        time.sleep(0.002)
        if os.path.exists(f"go.{number}"):
            more -= 20
base.close()
base = sqlite3.connect("base.sqlite")
assert base.execute("pragma integrity_check").fetchone() == ("ok",)
assert base.execute("select count(*), max(n) from t").fetchone() == (n, n)
print("ok")
"""

XZ = """
for file in perl gdb git; do cat /usr/bin/$file; done > data
for i in 1 2 3; do
  xz -T2 --block-size=1MiB -4 -c data > part.$i &
  gate $i
  wait
done
xz -dc part.1 | cmp - data && cmp part.1 part.2 && cmp part.2 part.3 && echo ok
"""

SORT = """
export TMPDIR=$PWD LC_ALL=C
seq 1 400000 | sort -R --random-source=/dev/zero > mixed
for i in 1 2 3; do
  cat mixed | sort -n -S 1M --batch-size=4 | tee copy | cksum > sum.$i &
  gate $i
  wait
done
seq 1 400000 | cmp - copy && cmp sum.1 sum.2 && cmp sum.2 sum.3 && echo ok
"""


class Round(Apart):
    """From a to b to c and back; their files are right, and what they leave is theirs."""

    def goes_round(self):
        hosts = (self.a, self.b, self.c, self.a)
        for number in (1, 2, 3):
            source, target = hosts[number - 1:number + 1]
            try:
                self.until(lambda: self.there(source, f"at.{number}"),  # pylint: disable=W0640
                           "it is on its way")
            except AssertionError as reason:
                raise AssertionError(self.content(source, "out") + self.content(source, "err") +
                                     self.logs()) from reason
            figures = self.ship(source, target)
            self.assertGreater(figures["files"], 0)
            print(f"{source.name} to {target.name}:", figures)
            self.put(target, f"go.{number}", "")
        self.ends_there(self.a, ())
        self.assertEqual([name for host in self.every for name in self.all_names(host)
                          if ".ckrun" in name], [])

    def alone(self, *command):
        """Undisturbed, in a folder of its own on another host."""
        folder = os.path.join(self.top, "alone")
        gates = "mkdir -p \"$1\" && cd \"$1\" && : > go.1 && : > go.2 && : > go.3 && shift && \"$@\""
        self.on(self.c, "sh", "-c", gates, "sh", folder, *command)
        return folder

    def test_numpy(self):
        self.start_there(self.a, sys.executable, "-c", NUMPY)
        self.goes_round()
        folder = self.alone(sys.executable, "-c", NUMPY)
        for name in ("result", "kept", "input.npy"):
            self.assertEqual(self.on(self.a, "sh", "-c", f"md5sum < {self.path(name)}"),
                             self.on(self.c, "sh", "-c", f"md5sum < {folder}/{name}"), name)

    def test_sqlite(self):
        self.start_there(self.a, sys.executable, "-c", SQLITE)
        self.goes_round()

    def test_xz(self):
        self.start_script(self.a, XZ)
        self.goes_round()

    def test_sort(self):
        self.start_script(self.a, SORT)
        self.goes_round()


class Ship(Apart):
    names = "ab"

    def test_all_kinds(self):
        self.on(self.a, "sh", "-c", """cd "$1"; mkdir -p deep/er empty; echo data > deep/er/data
            ln -s er/data deep/link; mkfifo fifo; chmod 0640 deep/er/data; chmod 0500 empty
            touch -d '2001-02-03 04:05:06' deep/er/data
            truncate -s 5M sparse; echo end >> sparse""", "sh", self.work)
        self.start_counter(self.a)
        figures = self.ship(self.a, self.b)
        self.assertEqual(figures["files"], 4)  # with out and err
        self.assertLess(figures["sent_bytes"], 4_000_000)
        tell = ("find . -type f -printf '%p %m %s %T@ %b\\n' -o -printf '%p %y %m %l\\n' | sort | "
                "grep -v out; md5sum deep/er/data sparse")
        listing = [self.on(host, "sh", "-c", f"cd {self.work}; {tell}") for host in (self.a, self.b)]
        self.assertEqual(listing[0], listing[1])
        self.ends_there(self.b)

    def test_what_it_writes_meanwhile_is_there(self):
        self.start_script(self.a, """
            exec 5> log; n=0
            until [ -e go ]; do nap; n=$((n + 1)); echo $n >&5; echo $n > "file.$((n % 50))"; done
            seq 1 $n | cmp - log && [ "$(cat file.$((n % 50)))" = $n ] && echo ok""")
        for source, target in ((self.a, self.b), (self.b, self.a), (self.a, self.b)):
            self.until(lambda: self.there(source, "file.49"),  # pylint: disable=W0640
                       "it writes")
            self.ship(source, target)
        self.ends_there(self.b)

    def test_what_it_has_removed_is_gone(self):
        self.start_script(self.a, """
            echo one > gone; gate 1; rm gone; gate 2
            [ ! -e gone ] && echo ok; until [ -e go ]; do nap; done; echo ok""")
        self.until(lambda: self.there(self.a, "at.1"), "it is there")
        self.ship(self.a, self.b)
        self.put(self.b, "go.1", "")
        self.until(lambda: self.there(self.b, "at.2"), "it is there")
        self.ship(self.b, self.a)
        self.assertFalse(self.there(self.a, "gone"))
        self.assertTrue(self.there(self.a, "at.2"))
        self.ends_there(self.a, ["go.2", "go"])

    def test_somebody_elses_file_is_in_the_way(self):
        self.put(self.a, "input", "mine")
        self.put(self.b, "input", "other")
        self.start_counter(self.a)
        self.not_shipped(self.a, self.b, REFUSED, about=["work/input", "is there already"])
        self.assertEqual(self.content(self.b, "input"), "other")
        self.on(self.b, "rm", self.path("input"))
        self.ship(self.a, self.b)
        self.assertEqual(self.content(self.b, "input"), "mine")
        self.ends_there(self.b)

    def test_the_same_file_is_not_in_the_way(self):
        self.put(self.a, "input", "mine")
        self.put(self.b, "input", "mine")
        before = self.on(self.b, "stat", "-c", "%i %z", self.path("input"))
        self.start_counter(self.a)
        self.ship(self.a, self.b)
        self.assertEqual(self.on(self.b, "stat", "-c", "%i %z", self.path("input")), before)
        self.ends_there(self.b)

    def test_what_another_has_written_since_it_left_stays(self):
        self.put(self.a, "input", "mine")
        self.start_script(self.a, "gate 1; echo changed > input; gate 2; echo ok")
        self.until(lambda: self.there(self.a, "at.1"), "it is there")
        self.ship(self.a, self.b)
        self.put(self.b, "go.1", "")
        self.until(lambda: self.there(self.b, "at.2"), "it has gone on")
        self.put(self.a, "input", "other")
        self.not_shipped(self.b, self.a, REFUSED, about=["work/input"])
        self.assertEqual(self.content(self.a, "input"), "other")
        self.ends_there(self.b, ["go.2"])

    def test_the_folder_cannot_be_made(self):
        self.hide(self.b, self.top, "mode=555")
        self.start_counter(self.a)
        self.on(self.b, "chown", "0", self.top, user=0)
        self.not_shipped(self.a, self.b, REFUSED, about=["make", "work"])
        self.ends_there(self.a)

    def test_there_is_no_room(self):
        self.hide(self.b, self.top, "size=1m")
        self.on(self.a, "dd", "if=/dev/urandom", "of=" + self.path("large"), "bs=1M", "count=2",
                "status=none")
        self.start_counter(self.a)
        self.not_shipped(self.a, self.b, REFUSED, about=["large", "No space"])
        self.ends_there(self.a)

    def test_it_works_in_the_home_folder(self):
        self.work = self.a.home
        self.start_counter(self.a)
        done = self.a.ckpt("migrate", "--files", "ship", "trip", "b", user=USER_ID)
        self.fails(done, REFUSED, about=["home", "folder of its own"])
        self.ends_there(self.a)


class Shared(Apart):
    names = "ab"

    def test_what_is_not_there_is_told_with_what_helps(self):
        self.start_counter(self.a)
        self.not_shipped(self.a, self.b, REFUSED, about=["work", "--files ship"], options=())
        self.ends_there(self.a)

    def test_what_is_shorter_there_is_told(self):
        self.put(self.a, "input", "long")
        self.put(self.b, "input", "")
        self.start_script(self.a, "exec 5< input; gate 1; echo ok")
        self.until(lambda: self.there(self.a, "at.1"), "it is there")
        self.put(self.b, "out", "")
        self.put(self.b, "err", "")
        self.not_shipped(self.a, self.b, REFUSED, about=["work/input", "shorter", "--files"],
                         options=())
        self.ends_there(self.a, ["go.1"])


class Map(Apart):
    names = "ab"

    def other(self, path):
        return path.replace("/work", "/play")

    def test_its_folder_is_elsewhere(self):
        self.start_counter(self.a)
        self.on(self.b, "mkdir", self.other(self.work))
        # In an order that gives them other inodes: the same ones would be the same file.
        for name in ("go", "err", "1", "2", "3", "out"):
            self.on(self.b, "touch", self.other(self.path(name)))
        self.put(self.b, "go", "")  # the program knows its old name
        options = ("--files", "map", f"{self.work}={self.other(self.work)}")
        done = self.a.ckpt("migrate", *options, "trip", "b", user=USER_ID)
        self.fails(done, REFUSED, about=["play/out", "shorter"])
        self.on(self.b, "sh", "-c", f"echo ready > {self.other(self.path('out'))}")
        self.good(self.a.ckpt("migrate", *options, "trip", "b", user=USER_ID))
        self.ends(self.b, "trip")
        self.assertEqual(self.on(self.b, "tail", "-n1", self.other(self.path("out"))), "ok\n")

    def test_its_files_go_elsewhere_and_come_back(self):
        self.start_script(self.a, """
            until [ -e go ]; do nap; echo x >> log; done; /bin/pwd; : > done; echo ok""")
        there, back = (f"{self.work}={self.other(self.work)}",
                       f"{self.other(self.work)}={self.work}")
        self.until(lambda: self.there(self.a, "log"), "it writes")
        self.ship(self.a, self.b, "--files", "map", there)
        self.assertFalse(self.there(self.b, "log"))
        self.ship(self.b, self.a, "--files", "map:" + back)
        self.put(self.a, "go", "")
        self.ends_there(self.a)
        self.assertEqual(self.content(self.a, "out"), self.work + "\nok\n")


if __name__ == "__main__":
    sys.exit(case.main(__name__))
