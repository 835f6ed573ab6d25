"""A terminal for programs under test: a pty of ours, and an emulator (pyte) that has its screen."""
import fcntl
import os
import select
import struct
import subprocess
import termios
import threading
import time

import pyte

STEP_SECONDS = 30


def tolerant(name):
    """pyte's method of that name, without the arguments that it does not know (private modes)."""
    plain = getattr(pyte.Screen, name)

    def method(self, *arguments, **named):
        if not named.get("private"):
            plain(self, *arguments)
    return method


class Display(pyte.Screen):
    select_graphic_rendition = tolerant("select_graphic_rendition")
    report_device_status = tolerant("report_device_status")
    erase_in_display = tolerant("erase_in_display")
    erase_in_line = tolerant("erase_in_line")
    delete_lines = tolerant("delete_lines")


class Screen:
    """One terminal. run() starts a command in a session of its own on it."""

    def __init__(self, bench, rows=24, columns=80, term="xterm-256color"):
        self.bench, self.term = bench, term
        self.master, self.slave = os.openpty()
        os.set_inheritable(self.master, False)
        bench.give(os.ttyname(self.slave))
        self.modes_before = termios.tcgetattr(self.slave)
        self.display = Display(columns, rows)
        self.display.write_process_input = self.answer
        self.stream = pyte.ByteStream(self.display)
        self.raw = b""
        self.lock = threading.Condition()
        self.popens = []
        self.resize(rows, columns)
        self.closing = False
        self.pump = threading.Thread(target=self._pump, daemon=True)
        self.pump.start()

    def answer(self, text):
        os.write(self.master, text.encode())

    def _pump(self):
        while not self.closing:
            try:
                if not select.select([self.master], [], [], 0.2)[0]:
                    continue
                part = os.read(self.master, 65536)
            except (OSError, ValueError):
                return
            with self.lock:
                self.raw += part
                try:
                    self.stream.feed(part)
                except (TypeError, IndexError, AttributeError, StopIteration):
                    self.stream = pyte.ByteStream(self.display)  # a sequence that it does not know
                self.lock.notify_all()

    def resize(self, rows, columns):
        with self.lock:
            self.display.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def run(self, arguments, env=None, **more):
        environment = {**self.bench.environment, "TERM": self.term, **(env or {})}
        streams = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave, **more}
        fd = self.slave

        def take_terminal():
            fcntl.ioctl(fd, termios.TIOCSCTTY, 0)

        popen = subprocess.Popen(arguments, cwd=self.bench.work, env=environment,
                                 start_new_session=True, preexec_fn=take_terminal,
                                 **streams, **self.bench.identity())
        self.popens.append(popen)
        return popen

    def type(self, text):
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            data = data[os.write(self.master, data[:512]):]

    def lines(self):
        with self.lock:
            return [line.rstrip() for line in self.display.display]

    def text(self):
        return "\n".join(self.lines())

    def wait_until(self, condition, what, timeout=STEP_SECONDS):
        """Until condition(text of the screen) holds; the screen is part of the complaint."""
        deadline = time.monotonic() + timeout
        with self.lock:
            while True:
                text = "\n".join(line.rstrip() for line in self.display.display).rstrip("\n")
                if condition(text):
                    return text
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {what} on the screen:\n{text}\n"
                                         f"last bytes: {self.raw[-500:]!r}")
                self.lock.wait(left)

    def wait_for(self, wanted, timeout=STEP_SECONDS):
        return self.wait_until(lambda text: wanted in text, repr(wanted), timeout)

    def wait_quiet(self, seconds=0.3, timeout=STEP_SECONDS):
        """Until nothing has come for that long; the lines of the screen."""
        deadline, size, since = time.monotonic() + timeout, -1, 0.0
        while time.monotonic() < deadline:
            now = len(self.raw)
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since >= seconds:
                break
            time.sleep(0.02)
        return self.lines()

    def modes(self):
        return termios.tcgetattr(self.slave)

    def wait_modes(self, condition, timeout=STEP_SECONDS):
        deadline = time.monotonic() + timeout
        while not condition(self.modes()):
            if time.monotonic() > deadline:
                raise AssertionError(f"the terminal's modes are {self.modes()}")
            time.sleep(0.005)

    def is_as_before(self):
        return self.modes() == self.modes_before

    def close(self):
        """Other terminals may get the numbers of our descriptors: nobody reads them any more."""
        self.closing = True
        self.pump.join()
        for fd in (self.slave, self.master):
            try:
                os.close(fd)
            except OSError:
                pass
