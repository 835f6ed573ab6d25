"""Tests that need hosts of their own: namespaces on one machine, with ckd on each."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.hosts import Network  # noqa: E402
from harness.job import USER_ID  # noqa: E402


class Hosts(case.Case):
    names = "abc"
    user = USER_ID

    def setUp(self):
        super().setUp()
        if not self.bench.am_root:
            self.skipTest("hosts of the test's own need root")
        self.network = Network(self.bench)
        self.addCleanup(self.network.close)
        for name in self.names:
            setattr(self, name, self.network.add(name))
            getattr(self, name).user = self.user
        self.every = list(self.network.hosts.values())

    def good(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def fails(self, done, *codes, about=()):
        text = f"exit {done.returncode}\nstdout: {done.stdout}\nstderr: {done.stderr}"
        self.assertIn(done.returncode, codes, text)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, "not one line: " + text)
        for word in about:
            self.assertIn(word, done.stderr)

    def invite(self, *options):
        return self.good(self.a.ckd("invite", *options))

    def join(self, host, *options):
        self.good(host.ckd("join", *options, input=self.invite()))

    def cluster(self):
        """All hosts in one cluster, their daemons running."""
        self.good(self.a.ckd("init"))
        self.a.start()
        for host in self.every[1:]:
            self.join(host)
            host.start()
        for host in self.every[:-1]:
            host.log.wait_for(f"info reloaded peers={len(self.every) - 1}")

    def states(self, host):
        return {name: row["state"] for name, row in host.hosts().items()}
