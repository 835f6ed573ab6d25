"""Hosts of the test's own: network, UTS and mount namespaces with a name, an address on a common
bridge, folders and a /etc/hosts that nobody else sees. No traffic leaves them. Needs root."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

from . import processes
from .job import STEP_SECONDS, USER_ID, Lines

PORT = 7381
# In a mount namespace of the host's own.
SETUP = """
set -e
mount --make-rprivate /
hostname "$1"
mount -t tmpfs none /run
mount --bind "$2/hosts" /etc/hosts
mount --bind "$2/passwd" /etc/passwd
ip link set lo up
echo ready
exec sleep infinity
"""


class Network:
    """A bridge in a namespace of its own, and the hosts at it."""

    def __init__(self, bench):
        self.bench, self.hosts, self.processes = bench, {}, []
        self.switch = self.hold(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"])
        self.inside(self.switch, "ip", "link", "add", "br0", "type", "bridge")
        self.inside(self.switch, "ip", "link", "set", "br0", "up")

    def hold(self, command):
        """Starts what keeps namespaces alive; returns its pid once it is ready."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        self.processes.append(process)
        line = process.stdout.readline()
        if line != "ready\n":
            raise AssertionError("no namespace: " + line + process.stdout.read())
        return process.pid

    def inside(self, pid, *command):
        subprocess.run(["nsenter", "-t", str(pid), "-n", *command], check=True)

    def add(self, name):
        host = Host(self, name, len(self.hosts) + 1)
        self.hosts[name] = host
        self.inside(self.switch, "ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name",
                    "eth0", "netns", str(host.pid))
        self.connect(host)
        return host

    def connect(self, host):
        self.inside(self.switch, "ip", "link", "set", f"to-{host.name}", "master", "br0", "up")
        self.inside(host.pid, "ip", "addr", "add", f"{host.ip}/24", "dev", "eth0")
        self.inside(host.pid, "ip", "link", "set", "eth0", "up")

    def make_slow(self, host, milliseconds, loss):
        """Each packet from and to that host takes so long, and that part of them is lost."""
        if not os.path.exists("/dev/net/tun"):
            raise unittest.SkipTest("this kernel has no TAP devices")
        show = ["nsenter", "-t", str(host.pid), "-n", "ip", "-json", "link", "show", "eth0"]
        address = json.loads(subprocess.check_output(show))[0]["address"]
        self.inside(self.switch, "ip", "link", "del", f"to-{host.name}")
        self.hold([sys.executable, os.path.join(os.path.dirname(__file__), "slow_link.py"),
                   str(host.pid), "eth0", str(self.switch), f"to-{host.name}", str(milliseconds),
                   str(loss)])
        # The others know it by this one, and would not ask again for half a minute.
        self.inside(host.pid, "ip", "link", "set", "eth0", "address", address)
        self.connect(host)

    def close(self):
        for host in self.hosts.values():
            host.stop(signal.SIGKILL)
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()


class Host:
    def __init__(self, network, name, number):
        self.network = network
        self.bench, self.name, self.ip = network.bench, name, f"10.77.0.{number}"
        self.folder = os.path.join(self.bench.folder, "host-" + name)
        self.home = os.path.join(self.folder, "home")
        os.makedirs(self.home)
        os.makedirs(os.path.join(self.folder, "etc"))
        os.chmod(self.folder, 0o755)
        os.chown(self.home, USER_ID, USER_ID)
        with open(os.path.join(self.folder, "hosts"), "w", encoding="ascii") as file:
            file.writelines(f"10.77.0.{i + 1} {other}\n" for i, other in enumerate("abc"))
            file.write("127.0.0.1 localhost\n")
        with open("/etc/passwd", encoding="utf-8") as all_users:
            users = all_users.read()
        with open(os.path.join(self.folder, "passwd"), "w", encoding="utf-8") as file:
            file.write(f"{users}ann:x:{USER_ID}:{USER_ID}::{self.home}:/bin/sh\n")
        self.pid = network.hold(["unshare", "--net", "--uts", "--mount", "sh", "-c", SETUP, "sh",
                                 name, self.folder])
        self.daemon = self.log = None
        self.variables = {}  # more of its environment
        self.user = USER_ID  # 0: everything here is done by root

    def config(self, name=""):
        folder = "etc" if self.user == 0 else "home/.config/ckrun"
        return os.path.join(self.folder, folder, name)

    def environment(self, user):
        """Without the variables that could name other folders than the usual ones."""
        own = {"HOME": "/root"} if user == 0 else {"HOME": self.home, "XDG_RUNTIME_DIR": self.home}
        if self.user == 0:
            own.pop("XDG_RUNTIME_DIR", None)  # no daemon of the user's own is there
        path = os.path.join(self.folder, "bin") + ":/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "LANG": "C.UTF-8", **own, **self.variables}

    def program(self, name, text):
        """A shell script that is found before all others of its name."""
        path = os.path.join(self.folder, "bin", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, 0o755)

    def command(self, arguments, user):
        """`arguments` on this host, by that user."""
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return ["nsenter", "-t", str(self.pid), "-n", "-u", "-m", *drop, *map(str, arguments)]

    def run(self, *arguments, user=None, **more):
        user = self.user if user is None else user
        return subprocess.run(self.command(arguments, user), env=self.environment(user), text=True,
                              capture_output=True, timeout=STEP_SECONDS, check=False,
                              cwd="/", **({} if "input" in more else {"stdin": subprocess.DEVNULL}),
                              **more)

    def ckd_command(self, *arguments):
        where = ["--config", self.config()] if self.user == 0 else []
        return [self.bench.tool("ckd"), *arguments, *where]

    def ckd(self, *arguments, **more):
        return self.run(*self.ckd_command(*arguments), **more)

    def ckpt(self, *arguments, **more):
        return self.run(self.bench.tool("ckpt"), *arguments, **more)

    def start(self, *options):
        """The daemon, until it is ready."""
        if self.user == 0:
            options += ("--state", os.path.join(self.folder, "journal"))
        command = self.ckd_command("--log-level", "debug", *options)
        self.daemon = subprocess.Popen(self.command(command, self.user), cwd="/",
                                       env=self.environment(self.user), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = Log(self.daemon.stderr)
        self.log.wait_for(r"info ready ")

    def stop(self, number=signal.SIGTERM):
        """Ends the daemon; its exit status."""
        if self.daemon is None:
            return None
        if self.daemon.poll() is None:
            self.daemon.send_signal(number)
        status = self.daemon.wait(STEP_SECONDS)
        self.log.lines()
        self.daemon.stderr.close()
        self.daemon = None
        return status

    def kill(self):
        """The daemon, as if the machine took it."""
        self.stop(signal.SIGKILL)

    def go_down(self):
        """The machine, with all that runs there; its disks stay."""
        self.kill()
        here = os.readlink(f"/proc/{self.pid}/ns/uts")
        found = True
        while found:
            found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                     if pid != self.pid and self.runs_in(pid, here)]
            for pid in found:
                processes.kill(pid)

    @staticmethod
    def runs_in(pid, namespace):
        try:
            return os.readlink(f"/proc/{pid}/ns/uts") == namespace and processes.alive(pid)
        except OSError:
            return False

    def link(self, state):
        self.network.inside(self.pid, "ip", "link", "set", "eth0", state)

    def hide(self, folder, options="mode=1777"):
        """That folder is empty on this host."""
        subprocess.run(self.command(["mount", "-t", "tmpfs", "-o", options, "none", folder], 0),
                       check=True)

    def forget_user(self):
        subprocess.run(self.command(["mount", "--bind", "/dev/null", "/etc/passwd"], 0), check=True)

    def hosts(self):
        """What ckpt hosts says: rows by name."""
        done = self.ckpt("hosts", "--json")
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return {row["name"]: row for row in json.loads(done.stdout)}

    def edit(self, name, old, new):
        path = self.config(name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if old not in text:
            raise AssertionError(f"{path} has no {old}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def leave(self):
        shutil.rmtree(self.config())


class Log(Lines):
    """The daemon's log."""

    def count(self, pattern):
        with self.changed:
            lines = self.text.decode("utf-8", "replace").splitlines()
        return sum(1 for line in lines if re.search(pattern, line))

    def wait_for(self, pattern, count=1, timeout=STEP_SECONDS):
        """The first line in which the expression is found, once it is found in `count` lines."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                lines = self.text.decode("utf-8", "replace").splitlines()
                found = [line for line in lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[0]
                left = deadline - time.monotonic()
                if self.closed or left <= 0:
                    raise AssertionError(f"no line with {pattern} in:\n{self.text.decode()}")
                self.changed.wait(left)
