#!/usr/bin/python3
"""The user's terminal stays when an interactive job moves."""
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from moving import Moving  # noqa: E402
from harness import case  # noqa: E402
from harness.job import STEP_SECONDS, USER_ID  # noqa: E402

LFLAG = 3
TOLD = "ckrun: no connection to job trip on host b"

# Tells of each key with its number, and of the window's size; ^C is counted, ^Z stops it.
KEYS = r"""
import os, signal, sys, termios, tty
before = termios.tcgetattr(0)
count = 0
def size(*_):
    columns, lines = os.get_terminal_size(0)
    os.write(1, b"[size %dx%d]" % (lines, columns))
signal.signal(signal.SIGWINCH, size)
signal.signal(signal.SIGINT, lambda *_: os.write(1, b"[interrupted]"))
def begin():
    tty.setcbreak(0)
    os.write(1, b"[begun]")
begin()
while True:
    try:
        key = os.read(0, 1)
    except InterruptedError:
        continue
    if key in (b"", b"q"):
        break
    if key == b"s":
        size()
    else:
        count += 1
        os.write(1, b"<%s%d>" % (key, count))
termios.tcsetattr(0, termios.TCSANOW, before)
sys.exit(7)
"""


# The same with memory that is changed by each key; "t" starts a thread.
LARGE = "import os\nmemory = bytearray(os.urandom(40 << 20))\ntotal = sum(memory)\n" + KEYS.replace(
    "        count += 1\n", """        count += 1
        at = (count * 7919 * 4096) % len(memory)
        total += count % 256 - memory[at]
        memory[at] = count % 256
""").replace("    else:\n", """    elif key == b"t":
        import threading, time
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        os.write(1, b"[thread]")
    else:
""").replace("sys.exit(7)", "sys.exit(7 if total == sum(memory) else 8)")


class OnTerminal(Moving):
    def setUp(self):
        try:
            from harness.screen import Screen
        except ImportError:
            self.skipTest("python3-pyte is not installed")
        super().setUp()
        self.keys = os.path.join(self.shared, "keys.py")
        with open(self.keys, "w", encoding="ascii") as file:
            file.write(KEYS)
        self.screen = Screen(self.bench, 24, 80)
        self.addCleanup(self.screen.close)

    def run_on(self, host, *command, **env):
        """A command of the user's on that host, on the terminal."""
        slave = self.screen.slave
        path = os.path.dirname(self.bench.tool("ckrun")) + ":/usr/bin:/bin"
        popen = subprocess.Popen(
            host.command(command, USER_ID), cwd=self.shared, stdin=slave, stdout=slave,
            stderr=slave, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
            env={**host.environment(USER_ID), "TERM": "xterm-256color", **env, "PATH": path})
        self.addCleanup(popen.wait)
        self.addCleanup(popen.kill)
        return popen

    def start_keys(self):
        popen = self.run_on(self.a, self.bench.tool("ckrun"), "--name", "trip", "--",
                            *self.keys_command())
        self.shows("[begun]")
        return popen

    def keys_command(self):
        return "/usr/bin/python3", self.keys

    def shows(self, text, times=1):
        wanted = text.encode()
        deadline = time.monotonic() + 2 * STEP_SECONDS
        with self.screen.lock:
            while self.screen.raw.count(wanted) < times:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.fail(f"no {text} in {self.screen.raw[-600:]!r}" + self.logs())
                self.screen.lock.wait(left)

    def round(self):
        return (self.a, self.b), (self.b, self.c), (self.c, self.a)

    def ends_with(self, popen, status):
        self.assertEqual(popen.wait(2 * STEP_SECONDS), status, self.screen.raw[-300:])
        self.assertTrue(self.screen.is_as_before())


class Typist:
    """Types keys all the time, and knows which ones."""
    KEYS = "abcdefghij"

    def __init__(self, screen, pause=0.01):
        self.screen, self.pause, self.count, self.ends = screen, pause, 0, threading.Event()
        self.thread = threading.Thread(target=self.type, daemon=True)
        self.thread.start()

    def key(self, number):
        return self.KEYS[number % len(self.KEYS)]

    def type(self):
        while not self.ends.is_set():
            self.screen.type(self.key(self.count))
            self.count += 1
            time.sleep(self.pause)

    def stop(self):
        self.ends.set()
        self.thread.join()

    def expected(self):
        return b"".join(b"<%s%d>" % (self.key(i).encode(), i + 1) for i in range(self.count))


class Typed(OnTerminal):
    def typed_through(self, *between):
        """Every key arrives once, in order, and so does every answer."""
        popen = self.start_keys()
        typist = Typist(self.screen)
        for action in between:
            action()
        typist.stop()
        last = typist.count
        self.shows(f"<{typist.key(last - 1)}{last}>")
        with self.screen.lock:
            shown = self.screen.raw[self.screen.raw.index(b"[begun]") + len(b"[begun]"):]
        self.assertEqual(shown, typist.expected())
        self.screen.type("q")
        self.ends_with(popen, 7)

    def move(self, source, target):
        return lambda: self.migrate(source, "trip", target)

    def pause(self, seconds):
        return lambda: time.sleep(seconds)


class Follow(Typed):
    def test_goes_round(self):
        self.typed_through(*(self.move(*hop) for hop in self.round()))

    def test_link_is_slow(self):
        self.network.make_slow(self.b, 20, 0.01)
        self.typed_through(self.move(self.a, self.b), self.pause(1), self.move(self.b, self.a))

    def test_link_is_cut(self):
        def cut():
            self.b.link("down")
            time.sleep(10)
            self.b.link("up")
        self.typed_through(self.move(self.a, self.b), self.pause(0.5), cut, self.pause(1))

    def test_link_is_cut_for_a_minute(self):
        popen = self.start_keys()
        self.migrate(self.a, "trip", self.b)
        typist = Typist(self.screen, 0.05)
        self.shows("<j10>")
        self.b.link("down")
        self.shows(TOLD)
        typed = typist.count
        time.sleep(60)
        self.b.link("up")
        self.assertGreater(typist.count, typed + 100)
        meanwhile = typist.count
        self.shows(f"<{typist.key(meanwhile)}{meanwhile + 1}>")
        typist.stop()
        last = typist.count
        self.shows(f"<{typist.key(last - 1)}{last}>")
        with self.screen.lock:
            shown = bytes(self.screen.raw)
        # But for what the user is told, and the screen's being drawn anew afterwards.
        shown = re.sub(rb"\r\nckrun: [^\r]*\r\n|\[size \d+x\d+\]|\[begun\]", b"", shown)
        self.assertEqual(shown, typist.expected())
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_daemon_is_killed(self):
        def kill():
            self.b.kill()
            self.b.start()
        self.typed_through(self.move(self.a, self.b), self.pause(0.5), kill, self.pause(1))

    def test_daemon_is_stopped(self):
        def stop():
            self.assertEqual(self.b.stop(), 0)
            self.b.start()
        self.typed_through(self.move(self.a, self.b), self.pause(0.5), stop, self.pause(1))

    def test_another_host_is_revoked(self):
        def revoke():
            self.good(self.a.ckd("revoke", "c"))
            self.b.log.wait_for("info reloaded")
        self.typed_through(self.move(self.a, self.b), self.pause(0.5), revoke, self.pause(1))
        self.assertIsNone(self.b.daemon.poll())

    def test_its_host_is_revoked(self):
        popen = self.start_keys()
        self.migrate(self.a, "trip", self.b)
        self.screen.type("a")
        self.shows("<a1>")
        self.good(self.a.ckd("revoke", "b"))
        self.a.log.wait_for("info reloaded")
        self.screen.type("b")
        self.shows(TOLD)
        self.assertNotIn(b"<b2>", self.screen.raw)
        popen.kill()

    def test_window_and_interrupt(self):
        popen = self.start_keys()
        self.migrate(self.a, "trip", self.b)
        self.screen.type("a")
        self.shows("<a1>")
        self.screen.resize(30, 100)
        self.shows("[size 30x100]")
        self.screen.type("\x03")
        self.shows("[interrupted]")
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_attach(self):
        """From where it was, once nobody is there."""
        popen = self.start_keys()
        self.migrate(self.a, "trip", self.b)
        self.screen.type("a")
        self.shows("<a1>")
        self.good(self.b.ckpt("detach", "trip", user=USER_ID))
        self.ends_with(popen, 0)
        popen = self.run_on(self.a, self.bench.tool("ckpt"), "attach", "trip")
        self.shows("[size", 1)
        self.screen.type("b")
        self.shows("<b2>")
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_stopped_and_continued(self):
        popen = self.run_on(self.a, "bash", "--norc", "--noprofile", "-i", PS1="prompt> ")
        self.shows("prompt> ")
        self.screen.type(f"ckrun --name trip -- /usr/bin/python3 {self.keys}\r")
        self.shows("[begun]")
        self.migrate(self.a, "trip", self.b)
        self.screen.type("a")
        self.shows("<a1>")
        self.screen.type("\x1a")
        self.shows("Stopped")
        self.screen.type("fg\r")
        self.screen.wait_modes(lambda modes: not modes[LFLAG] & termios.ICANON)
        self.screen.type("b")
        self.shows("<b2>")
        self.screen.type("q")
        self.shows("prompt> ", 3)
        self.screen.type("exit $?\r")
        self.assertEqual(popen.wait(2 * STEP_SECONDS), 7)


class WithMemory(Typed):
    """So much that it goes in advance."""

    def setUp(self):
        super().setUp()
        with open(self.keys, "w", encoding="ascii") as file:
            file.write(LARGE)

    def begin(self, source, target):
        return self.migrating(source, target, "--bandwidth", "20M")


class WithItsTerminal(WithMemory):
    """With its terminal."""

    def moves(self, source, target, meanwhile=lambda: None):
        moving = self.begin(source, target)
        self.until(lambda: self.pid_in(target, "held"), "memory is put in place")
        put_by = self.pid_in(target, "held")
        meanwhile()
        self.assertEqual(moving.wait(2 * STEP_SECONDS), 0, self.logs())
        self.assertEqual(self.pid_in(target, "incarnation"), put_by)

    def test_goes_round(self):
        self.typed_through(*(lambda hop=hop: self.moves(*hop) for hop in self.round()))

    def test_window_changes_meanwhile(self):
        popen = self.start_keys()
        self.screen.type("a")
        self.shows("<a1>")
        self.moves(self.a, self.b, lambda: self.screen.resize(30, 100))
        self.shows("[size 30x100]")
        self.screen.type("s")
        self.shows("[size 30x100]", 2)
        with self.screen.lock:
            self.assertEqual(self.screen.raw.count(b"[size"), 2, self.screen.raw)
        self.screen.type("q")
        self.ends_with(popen, 7)


class ChangesTooMuch(WithMemory):
    """After its memory has been put in place: it starts a thread."""

    def test_restored_as_a_whole(self):
        popen = self.start_keys()
        moving = self.begin(self.a, self.b)
        early = self.jobs_file(self.a, "trip", ".early-0.ckpt")
        self.until(lambda: os.path.exists(early), "the first image is taken")
        self.screen.type("t")
        self.shows("[thread]")
        self.assertEqual(moving.wait(2 * STEP_SECONDS), 0, self.logs())
        with open(self.jobs_file(self.b, "trip", "restart.log"), encoding="utf-8") as file:
            self.assertIn("has another number of threads since its memory", file.read())
        self.screen.type("a")
        self.shows("<a1>")
        self.screen.type("q")
        self.ends_with(popen, 7)


class Progress(OnTerminal):
    names = "ab"

    def test_what_ckpt_migrate_shows(self):
        """How much of how much, how fast, and how long the job will stand still."""
        none = os.path.join(self.shared, "none")
        self.start_grows(none, none)
        popen = self.run_on(self.a, self.bench.tool("ckpt"), "migrate", "--bandwidth", "10M",
                            "trip", "b")
        self.assertEqual(popen.wait(2 * STEP_SECONDS), 0, self.screen.raw[-600:])
        self.shows("it stood still for")
        with self.screen.lock:
            shown = bytes(self.screen.raw)
        self.assertRegex(shown, rb"copy \[#*\.*\] \d+% of [\d.]+ MiB  [\d.]+ MiB/s  0:\d\d left")
        self.assertRegex(shown, rb"copy, downtime ~[\d.]+ m?s \[.*/s  0:\d\d left")
        self.assertRegex(shown, rb"trip runs on b: [\d.]+ MiB sent in [\d.]+ s, it stood still for")
        self.ends_well(self.b, "trip")


class SharesMemory(Typed):
    """Its memory cannot go in advance."""

    def setUp(self):
        super().setUp()
        with open(self.keys, "w", encoding="ascii") as file:
            file.write("import mmap\nshared = mmap.mmap(-1, 4096)\n" + LARGE)

    def test_goes_round(self):
        self.typed_through(*(self.move(*hop) for hop in self.round()))


class Inside(WithItsTerminal):
    """On a terminal that another program of the job has made for it."""

    def keys_command(self):
        return "/usr/bin/script", "-qefc", f"/usr/bin/python3 {self.keys}", "/dev/null"


# For as long as it stands in the place of ckpt, no step of a hand-over is done.
WAITS = """#!/bin/sh
until [ -e %s ]; do sleep 0.02; done
exec "$0" "$@"
"""


class Back(OnTerminal):
    """A hand-over fails so late that the job is restarted where it was: its window is there."""
    names = "ab"

    def begin(self):
        """A migration of a job that stands still and cannot be sent: the link is cut."""
        ckpt = self.bench.tool("ckpt")
        waits, go, own = (os.path.join(self.bench.folder, name)
                          for name in ("waits", "go-on", "own-ckpt"))
        with open(waits, "w", encoding="ascii") as file:
            file.write(WAITS % go)
        os.chmod(waits, 0o755)
        shutil.copy(ckpt, own)
        self.good(self.a.run("mount", "--bind", waits, ckpt, user=0))
        moving = self.migrating(self.a, self.b, tool=own)
        self.a.log.wait_for("begins .*step=freeze")
        self.b.link("down")
        self.good(self.a.run("umount", "--lazy", ckpt, user=0))
        with open(go, "wb"):
            pass
        self.a.log.wait_for("begins .*step=send")
        return moving

    def signal_supervisor(self, host, file, number):
        os.kill(self.pid_in(host, file), number)

    def keys_go_on(self, popen):
        self.screen.type("b")
        self.shows("<b2>")
        self.screen.type("q")
        self.ends_with(popen, 7)

    def test_who_holds_it_is_killed(self):
        popen = self.start_keys()
        self.screen.type("a")
        self.shows("<a1>")
        moving = self.begin()
        self.signal_supervisor(self.a, "incarnation", signal.SIGKILL)
        moving.terminate()
        self.b.link("up")
        self.a.log.wait_for("begins .*step=continue")
        self.keys_go_on(popen)

    def give_back(self):
        """The other host cannot run it, though it was ready to."""
        self.begin()
        self.signal_supervisor(self.a, "incarnation", signal.SIGSTOP)  # it cannot end the job
        self.b.link("up")
        self.b.log.wait_for("phase=ready")
        self.a.log.wait_for("begins .*step=end")
        self.signal_supervisor(self.b, "held", signal.SIGKILL)
        images = [image for place in ("trip", ".incoming/*")
                  for image in glob.glob(self.jobs_file(self.b, place, "*.ckpt"))]
        self.assertEqual(len(images), 2)  # one, by two names
        for image in images:
            os.unlink(image)
        self.signal_supervisor(self.a, "incarnation", signal.SIGCONT)
        self.a.log.wait_for("begins .*step=continue")

    def test_it_is_given_back(self):
        popen = self.start_keys()
        self.screen.type("a")
        self.shows("<a1>")
        self.give_back()
        self.keys_go_on(popen)

    def test_it_is_given_back_without_a_terminal(self):
        popen = self.start_guest(self.a, "trip", "counter")
        self.give_back()
        self.release()
        self.assertEqual(popen.wait(2 * STEP_SECONDS), 0)
        self.ends_well(self.a, "trip")


class Editor(OnTerminal):
    """Vim is typed into on three hosts; what it writes at last is what it writes undisturbed."""
    LINES = "".join(f"line {number} of a file that is longer than the screen\n"
                    for number in range(1, 200))

    def edit(self, name, *start):
        """One step after the other; the file at last."""
        path = os.path.join(self.shared, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(self.LINES)
        os.chown(path, USER_ID, USER_ID)
        screen = self.screen
        popen = self.run_on(self.a, *start, "vim", "-N", "-u", "NONE", "-n", path)
        screen.wait_for("line 1 of")
        screen.type("20Gonew words")
        screen.wait_for("new words")
        yield  # in the middle of an insertion
        screen.type(" and more")
        screen.wait_for("new words and more")
        screen.type("\x1b:1\rdd")
        screen.wait_until(lambda text: "line 1 of" not in text, "a line less")
        screen.wait_until(lambda text: "line 29 of" not in text, "a window of 24 lines")
        screen.resize(30, 100)
        screen.wait_for("line 29 of")  # Vim by itself may lose what is typed before it has seen that
        screen.type("/line 50 of\rcwLINE")
        screen.wait_for("LINE 50 of")
        yield
        screen.type("\x1buu\x12")  # both changes undone, one of them done again
        screen.wait_for("line 2 of")
        screen.type("\x1b:%s/longer/LONGER/ | 1\r")
        screen.wait_for("line 2 of a file that is LONGER")
        yield
        screen.type("p\x1b[BAthe end\x1b:wq\r")
        self.ends_with(popen, 0)
        with open(path, encoding="ascii") as file:
            self.written = file.read()

    def test_vim(self):
        if not shutil.which("vim"):
            self.skipTest("vim is not installed")
        for _ in self.edit("undisturbed"):
            pass
        expected = self.written
        self.screen.resize(24, 80)
        steps = self.edit("moved", self.bench.tool("ckrun"), "--name", "trip", "--")
        for (source, target), _ in zip(self.round(), steps):
            self.migrate(source, "trip", target)
        for _ in steps:
            pass
        self.assertEqual(self.written, expected)
        self.assertIn("new words and more\n", expected)
        self.assertIn("the end\n", expected)
        self.assertIn("LONGER", expected)

    def test_python_with_arrays(self):
        """Its prompt, its line editing, and 160 MB that go in advance."""
        popen = self.run_on(self.a, self.bench.tool("ckrun"), "--name", "trip", "--",
                            "/usr/bin/python3", "-q")
        self.shows(">>> ")
        self.screen.type("import numpy; a = numpy.arange(10 ** 7); b = a[::-1].copy()\r")
        self.shows(">>> ", 2)
        for number, (source, target) in enumerate(self.round()):
            self.screen.type(f"int((a * {number}")  # a line that is being edited meanwhile
            self.shows(f"int((a * {number}")
            self.migrate(source, "trip", target)
            self.screen.type(" + b).sum())\r")
            self.shows(str(49999995000000 * (number + 1)))
        for host in self.every:
            with open(self.jobs_file(host, "trip", "restart.log"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "")
        self.screen.type("exit(5)\r")
        self.ends_with(popen, 5)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
