#!/usr/bin/python3
"""A TCP connection to outside of the job goes on over a restart (--tcp=repair). Both hosts are
network namespaces of the test's own; the other end is no process of the job and notices nothing."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.job import Bench, Job  # noqa: E402

INSIDE = "CKRUN_TEST_OWN_NETWORK"
PERMISSION, STOPPED = 77, 85
ADDRESSES = {"4": ("10.77.0.1", "10.77.0.2"), "6": ("fd77::1", "fd77::2")}

# Both ends send and receive the same bytes, and each reads more slowly than the other writes, so
# that at every instant something is unread, sent, and waiting to be sent.
TALKER = """
import hashlib, random, select, socket, sys, time
role, address, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
text = random.Random(1).randbytes(size)
family = socket.AF_INET6 if ":" in address else socket.AF_INET
if role == "server":
    listener = socket.create_server((address, port), family=family)
    print("ready", flush=True)
    talk, _ = listener.accept()
else:
    talk = socket.create_connection((address, port))
    print("ready", flush=True)
talk.setblocking(False)
sent, got = 0, bytearray()
while sent < size or len(got) < size:
    wants = select.select([talk], [talk] if sent < size else [], [], 60)
    assert wants[0] or wants[1], "nothing for a minute"
    if wants[0]:
        part = talk.recv(4096)
        assert part, "the connection has ended early"
        got += part
    if wants[1]:
        sent += talk.send(text[sent:sent + 65536])
    time.sleep(0.001)
assert bytes(got) == text
print("ok", flush=True)
"""
SIZE = 8 << 20


class Repair(case.Case):
    def setUp(self):
        super().setUp()
        if not self.bench.am_root:
            self.skipTest("holding a connection needs root")

    def run_in_own_network(self):
        """Runs this test again in a network namespace of its own; True if that was done."""
        if os.environ.get(INSIDE):
            return False
        done = subprocess.run(["unshare", "--net", sys.executable, os.path.abspath(__file__),
                               "--build", self.bench.build, self.id().split(".", 1)[1]],
                              env={**os.environ, INSIDE: "1"}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return True

    def other_host(self):
        """A second namespace, joined to this one; the command that runs others in it."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "200"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        own = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 20
        while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        there = ["nsenter", "-t", str(holder.pid), "-n"]
        for command in ("ip link set lo up",
                        f"ip link add ck0 type veth peer name ck1 netns {holder.pid}"):
            subprocess.run(command.split(), check=True)
        for prefix, link, index in (([], "ck0", 0), (there, "ck1", 1)):
            for address, bits in ((ADDRESSES["4"][index], 24), (ADDRESSES["6"][index], 64)):
                subprocess.run([*prefix, "ip", "addr", "add", f"{address}/{bits}", "dev", link,
                                *(["nodad"] if bits == 64 else [])], check=True)
            subprocess.run([*prefix, "ip", "link", "set", link, "up"], check=True)
        return there

    def talker(self, role, family):
        return [sys.executable, "-c", TALKER, role, ADDRESSES[family][1], "4711", str(SIZE)]

    def start_both(self, family, as_root=True, **more):
        self.bench.close()
        self.bench = Bench(self.bench.build, as_root)
        self.addCleanup(self.bench.close)
        there = self.other_host()
        server = subprocess.Popen([*there, *self.talker("server", family)], text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertEqual(server.stdout.readline(), "ready\n")
        job = Job(self.bench, self.talker("client", family), **more)
        job.start()
        job.wait_started()
        return server, job

    def assert_both_finish(self, server, job):
        self.assertEqual(job.finish(), 0, job.report())
        self.assertEqual(job.output.lines()[-1:], ["ok"], job.report())
        self.assertEqual(server.communicate(timeout=60)[0], "ok\n")

    def goes_on(self, family, pids):
        if self.run_in_own_network():
            return
        server, job = self.start_both(family, options=["--tcp", "repair"])
        time.sleep(0.3)
        job.checkpoint()  # and the connection lives on
        for absent in (0.1, 1.5):
            time.sleep(0.3)
            image = job.checkpoint("--stop")
            self.assertEqual(job.finish(), STOPPED, job.report())
            time.sleep(absent)
            job.restart("--pids", pids, image=image)
            job.wait_restarted()
        self.assert_both_finish(server, job)

    def test_ipv4(self):
        self.goes_on("4", "namespace")

    def test_ipv6(self):
        self.goes_on("6", "real")

    def test_without_privilege_it_is_refused_and_lives(self):
        if self.run_in_own_network():
            return
        server, job = self.start_both("4", as_root=False)
        self.assert_fails_and_runs(job)
        self.assert_both_finish(server, job)

    def assert_fails_and_runs(self, job):
        done = self.bench.ckpt("--stop", "--tcp", "repair", job.pid())
        self.assertEqual(done.returncode, PERMISSION, done.stderr)
        self.assertIn("root", done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
