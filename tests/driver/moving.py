"""Tests in which jobs move between hosts."""
import json
import os
import signal
import subprocess
import sys
import time

from host_case import Hosts
from harness.job import STEP_SECONDS, USER_ID


SETTINGS = """
[migration]
retry = "200ms"
patience = "20s"

[limits]
answer = "1s"
handshake = "1s"
"""


# 40 MiB that change all the time; told by a file, it has one more thread, and tells of that.
GROWS = """
import os, sys, threading, time
grow, told, go = sys.argv[1:]
memory = bytearray(os.urandom(40 << 20))
total = sum(memory)
grown = False
print("ready", flush=True)
while not os.path.exists(go):
    at = time.monotonic_ns() % len(memory)
    total -= memory[at]
    memory[at] = at & 255
    total += memory[at]
    time.sleep(0.0005)
    if not grown and os.path.exists(grow):
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        grown = True
        open(told, "w").close()
print("ok" if total == sum(memory) else "wrong", flush=True)
os._exit(0)
"""


class Moving(Hosts):
    """Jobs write to files, which are at the same path on all hosts."""

    def setUp(self):
        super().setUp()
        self.shared = self.bench.make_folder("shared")
        self.go = os.path.join(self.shared, "go")
        self.cluster()
        for host in self.every:
            with open(host.config("ckd.toml"), "a", encoding="ascii") as file:
                file.write(self.settings(host))
            self.reload(host)

    def settings(self, host):
        return SETTINGS

    def reload(self, host):
        before = host.log.count("info reloaded")
        host.daemon.send_signal(signal.SIGHUP)
        host.log.wait_for("info reloaded .*", count=before + 1)

    def output(self, name):
        return os.path.join(self.shared, name + ".out")

    def errors(self, name):
        return os.path.join(self.shared, name + ".err")

    def text(self, name):
        with open(self.output(name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self, host, name, *command, env=None, stderr=None, options=()):
        """A job on that host; the supervisor. `stderr`: instead of a file."""
        with open(self.output(name), "wb") as out, open(self.errors(name), "wb") as errors:
            os.chown(out.name, USER_ID, USER_ID)
            os.chown(errors.name, USER_ID, USER_ID)
            process = subprocess.Popen(
                host.command([self.bench.tool("ckrun"), "--name", name, *options, *command], USER_ID),
                cwd=self.shared, stdin=subprocess.DEVNULL, stdout=out,
                stderr=stderr or errors,
                env={**host.environment(USER_ID), "GUEST_GO": self.go, **(env or {})})
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def start_guest(self, host, name, guest, options=()):
        process = self.start(host, name, self.guest(guest), options=options)
        self.until(lambda: "ready" in self.text(name), "the guest is ready")
        return process

    def until(self, condition, what):
        deadline = time.monotonic() + STEP_SECONDS
        while not condition():
            self.assertLess(time.monotonic(), deadline, "not in time: " + what)
            time.sleep(0.02)

    def release(self):
        with open(self.go, "wb"):
            pass

    def state(self, host, name):
        rows = json.loads(self.good(host.ckpt("ls", "--json", user=USER_ID)))
        states = {row["name"]: row["state"] for row in rows}
        return states.get(name, "absent")

    def migrate(self, source, name, target):
        try:
            done = source.ckpt("migrate", "--json", name, target.name, user=USER_ID)
        except subprocess.TimeoutExpired:
            self.fail("ckpt migrate does not end" + self.logs())
        self.assertEqual(done.returncode, 0, done.stderr + self.logs())
        return json.loads(done.stdout)

    def migrating(self, source, target, *options, tool=None, stdout=subprocess.DEVNULL):
        """A migration of job trip that is under way; what it says on stderr is there, too."""
        command = [tool or self.bench.tool("ckpt"), "migrate", *options, "trip", target.name]
        moving = subprocess.Popen(
            source.command(command, USER_ID), cwd="/", env=source.environment(USER_ID),
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.STDOUT)
        if moving.stdout:
            self.addCleanup(moving.stdout.close)
        self.addCleanup(moving.wait)
        self.addCleanup(moving.kill)
        return moving

    def jobs_file(self, host, *names):
        return os.path.join(host.home, ".local/state/ckrun", *names)

    def pid_in(self, host, name):
        """Of who has job trip there, as that file of its folder says; None without the file."""
        try:
            with open(self.jobs_file(host, "trip", name), encoding="utf-8") as file:
                return json.load(file)["pid"]
        except FileNotFoundError:
            return None

    def start_grows(self, grow, told, text=GROWS):
        path = os.path.join(self.shared, "grows.py")
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        self.start(self.a, "trip", sys.executable, path, grow, told, self.go)
        self.until(lambda: "ready" in self.text("trip"), "it is ready")

    def logs(self):
        return "".join(f"\n--- {host.name}\n" + host.log.text.decode("utf-8", "replace")
                       for host in self.every if host.log)

    def ends(self, host, name, state="finished"):
        self.until(lambda: self.state(host, name).startswith(state), f"{name} is {state}")

    def ends_well(self, host, name):
        self.release()
        self.ends(host, name)
        self.assertEqual(self.text(name).splitlines()[-1:], ["ok"], self.text(name))
