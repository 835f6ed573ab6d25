#!/usr/bin/python3
"""A cluster of three hosts, each with namespaces and a name of its own: who gets in, who does not,
and what the hosts tell of each other."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402
from harness.hosts import PORT  # noqa: E402
from host_case import Hosts  # noqa: E402
from harness.job import USER_ID, Lines  # noqa: E402

USAGE, NOT_FOUND, REFUSED, SYSTEM, PERMISSION = 64, 66, 69, 71, 77

# Connects by TLS, with a certificate if one is named, reads the Hello and sends its own, then the
# bytes that it is told; prints how each step went.
TALKER = """
import socket, ssl, sys, time
address, version, certificate, name, more = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if version:
    context.maximum_version = ssl.TLSVersion[version]
if certificate:
    context.load_cert_chain(certificate + "host.pem", certificate + "host.key")
def frame(body):
    return len(body).to_bytes(4, "little") + body
def hello():
    inner = b"\\x08\\x01\\x12" + bytes([len(name)]) + name.encode()
    return frame(b"\\x0a" + bytes([len(inner)]) + inner)
try:
    talk = context.wrap_socket(socket.create_connection((address, 7381), timeout=20))
    assert talk.recv(65536), "closed"
    print("accepted", flush=True)
    talk.sendall(hello())
    talk.sendall(bytes.fromhex(more))
    before = time.monotonic()
    answer = talk.recv(65536)
    print("answered" if answer else "closed", flush=True)
except (OSError, AssertionError) as error:
    print("failed:", error, flush=True)
"""


class Talking(Hosts):
    def talk(self, host, to, version="", certificate="", name="", more=""):
        done = host.run(sys.executable, "-c", TALKER, to.ip, version, certificate, name, more)
        self.assertEqual(done.stderr, "")
        return done.stdout


class Cluster(Hosts):
    def test_three_hosts_list_each_other(self):
        self.cluster()
        for host in self.every:
            rows = host.hosts()
            self.assertEqual({name: row["state"] for name, row in rows.items()},
                             {"a": "up", "b": "up", "c": "up"})
            self.assertEqual(list(rows)[0], host.name)
            for name, row in rows.items():
                self.assertEqual(row["cpu_digest"], rows[host.name]["cpu_digest"])
                self.assertGreater(row["memory_bytes"], row["memory_free_bytes"])
                self.assertEqual(row["latency_ns"] == 0, name == host.name)
        self.assertEqual(len(self.b.ckpt("hosts").stdout.splitlines()), 4)

    def test_jobs_of_all_hosts_are_listed(self):
        self.cluster()
        job = subprocess.Popen(
            self.c.command([self.bench.tool("ckrun"), "--name", "far", "sh", "-c",
                            "echo ready; read line"], USER_ID),
            cwd="/", env=self.c.environment(USER_ID), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = Lines(job.stdout)
        self.addCleanup(job.stdout.close)
        self.assertTrue(output.wait_for("ready"), output.text)
        rows = json.loads(self.good(self.a.ckpt("ls", "--all-hosts", "--json")))
        self.assertEqual([(row["host"], row["name"], row["state"]) for row in rows],
                         [("c", "far", "running")])
        self.assertEqual(self.a.hosts()["c"]["jobs"], 1)
        job.communicate(b"\n", timeout=60)
        rows = json.loads(self.good(self.a.ckpt("ls", "--all-hosts", "--json")))
        self.assertEqual([row["state"] for row in rows], ["finished 0"])

    def test_a_host_that_is_away_is_a_row_that_says_so(self):
        self.cluster()
        self.assertEqual(self.b.stop(), 0)
        rows = self.a.hosts()
        self.assertEqual(rows["b"]["state"], "unreachable")
        self.assertIn("refused", rows["b"]["reason"])
        self.assertEqual(rows["c"]["state"], "up")
        done = self.a.ckpt("ls", "--all-hosts")
        self.fails(done, SYSTEM, about=["host b"])

    def test_files_are_the_owners_only(self):
        self.cluster()
        for host in self.every:
            for folder, _, files in os.walk(host.config()):
                self.assertEqual(os.stat(folder).st_mode & 0o077, 0, folder)
                for name in files:
                    self.assertEqual(os.stat(os.path.join(folder, name)).st_mode & 0o777, 0o600)
        self.assertFalse(os.path.exists(self.b.config("ca.key")))

    def test_reload_of_peers(self):
        self.cluster()
        self.b.edit("ckd.toml", "# refresh = \"60s\"", "refresh = \"1h\"")
        with open(self.b.config("peers.toml"), "a", encoding="ascii") as file:
            file.write("\n[[peer]]\nname = \"d\"\naddress = \"127.0.0.1:9\"\n")
        self.b.daemon.send_signal(signal.SIGHUP)
        self.b.log.wait_for("info reloaded peers=3")
        self.assertEqual(sorted(self.b.hosts()), ["a", "b", "c", "d"])

    def test_an_address_that_was_changed_is_told(self):
        self.cluster()
        self.a.edit("peers.toml", "c:7381", "10.77.0.3:7381")
        self.a.daemon.send_signal(signal.SIGHUP)
        self.b.log.wait_for("reloaded peers=2", count=2)
        self.assertEqual(self.b.hosts()["c"]["address"], "10.77.0.3:7381")


class Entry(Talking):
    names = "ab"

    def setUp(self):
        super().setUp()
        self.good(self.a.ckd("init"))
        self.a.start()

    def test_a_token_is_good_once(self):
        token = self.invite()
        self.good(self.b.ckd("join", input=token))
        self.b.leave()
        self.fails(self.b.ckd("join", input=token), PERMISSION, about=["did not admit", "host a"])
        self.a.log.wait_for("warning peer refused .*unknown or was used")
        self.assertFalse(os.path.exists(self.b.config("host.key")))

    def test_an_expired_token_is_refused(self):
        token = self.invite("--valid", "1s")
        time.sleep(1.1)  # its time must pass
        self.fails(self.b.ckd("join", input=token), PERMISSION, about=["expired"])
        self.a.log.wait_for("warning peer refused .*invitation has expired")

    def test_an_invitation_for_no_time_is_a_mistake(self):
        for valid in ("0", "500ms"):
            self.fails(self.a.ckd("invite", "--valid", valid), USAGE, about=[valid, "1s or more"])

    def test_a_mistyped_token_is_noticed(self):
        token = self.invite().strip()
        other = "y" if token[20] == "x" else "x"
        for bad in (token[:-1], token[:20] + other + token[21:], "", "hello"):
            self.fails(self.b.ckd("join", input=bad + "\n"), USAGE, about=["not an invitation"])

    def test_a_token_in_a_file_is_secret(self):
        path = os.path.join(self.a.home, "token")
        self.assertEqual(self.good(self.a.ckd("invite", "-o", path)), "")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.fails(self.a.ckd("invite", "-o", path), SYSTEM, about=["exists"])
        self.good(self.b.ckd("join", path))

    def test_another_cluster_at_the_address_is_noticed(self):
        token = self.invite()
        self.a.stop()
        self.a.leave()
        self.good(self.a.ckd("init"))
        self.a.start()
        self.fails(self.b.ckd("join", input=token), SYSTEM, about=["certificate verify failed"])
        self.a.log.wait_for("warning peer refused ")

    def test_a_name_is_given_once(self):
        self.join(self.b)
        self.b.leave()
        token = self.invite()
        self.fails(self.b.ckd("join", input=token), REFUSED, about=["has a host b already"])
        self.good(self.b.ckd("join", "--host", "b2", "--address", "b:7381", input=token))

    def test_who_belongs_to_a_cluster_does_not_join(self):
        self.join(self.b)
        self.fails(self.b.ckd("join", input=self.invite()), REFUSED, about=["--force"])
        self.fails(self.b.ckd("init"), REFUSED, about=["exists"])
        self.fails(self.a.ckd("init"), REFUSED, about=["exists"])

    def test_a_daemon_that_runs_learns_of_its_cluster(self):
        self.b.start()
        self.assertEqual(self.states(self.b), {"b": "up"})
        self.assertNotIn("start ckd", self.good(self.b.ckd("join", input=self.invite())))
        self.assertEqual(self.states(self.b), {"a": "up", "b": "up"})
        self.assertEqual(self.states(self.a), {"a": "up", "b": "up"})

    def test_only_the_host_with_the_ca_invites_and_revokes(self):
        self.join(self.b)
        for command in (["invite"], ["revoke", "a"]):
            self.fails(self.b.ckd(*command), NOT_FOUND, about=["host a"])

    def test_a_host_that_was_revoked_can_come_back(self):
        self.join(self.b)
        self.good(self.a.ckd("revoke", "b"))
        self.join(self.b, "--force")
        self.b.start()
        self.assertEqual(self.states(self.b), {"a": "up", "b": "up"})

    def test_certificates_are_renewed_in_time(self):
        self.a.edit("ckd.toml", "# certificate_lifetime = \"365d\"",
                    "certificate_lifetime = \"3s\"")
        self.a.edit("ckd.toml", "# refresh = \"60s\"", "refresh = \"1s\"")
        self.a.daemon.send_signal(signal.SIGHUP)
        self.a.log.wait_for("info reloaded")
        self.join(self.b)
        self.b.edit("ckd.toml", "# refresh = \"60s\"", "refresh = \"1s\"")
        self.b.start()
        self.b.log.wait_for("info own certificate renewed")
        self.assertEqual(self.states(self.a), {"a": "up", "b": "up"})

    def test_an_expired_certificate_is_refused(self):
        self.a.edit("ckd.toml", "# certificate_lifetime = \"365d\"",
                    "certificate_lifetime = \"1s\"")
        self.join(self.b)
        time.sleep(1.1)  # its time must pass
        said = self.talk(self.b, self.a, certificate=self.b.config(), name="b")
        self.assertNotIn("accepted", said)
        self.a.log.wait_for("warning peer refused .*certificate of b: certificate has expired")
        self.b.start()
        self.b.log.wait_for("warning not healthy .*has expired")
        self.assertEqual(self.states(self.b)["a"], "refused")


class Strangers(Talking):
    names = "ab"

    def setUp(self):
        super().setUp()
        self.good(self.a.ckd("init"))

    def start(self, *limits):
        self.a.edit("ckd.toml", "# [limits]", "[limits]\n" + "\n".join(limits))
        self.a.start()

    def member(self):
        self.join(self.b)
        return {"certificate": self.b.config(), "name": "b"}

    def test_a_foreign_ca_is_refused(self):
        self.start()
        self.good(self.b.ckd("init"))
        said = self.talk(self.b, self.a, certificate=self.b.config(), name="b")
        self.assertNotIn("accepted", said)
        self.assertIn("unknown ca", said)
        line = self.a.log.wait_for("warning peer refused ")
        self.assertIn(f"peer={self.b.ip}:", line)
        self.assertIn("certificate of b: unable to get", line)

    def test_a_foreign_daemon_is_refused(self):
        self.start()
        self.good(self.b.ckd("init"))
        with open(self.b.config("peers.toml"), "a", encoding="ascii") as file:
            file.write("[[peer]]\nname = \"a\"\naddress = \"a:7381\"\n")
        self.b.start()
        row = self.b.hosts()["a"]
        self.assertEqual(row["state"], "refused")
        self.assertIn("certificate of a", row["reason"])

    def test_no_certificate_is_refused(self):
        self.start()
        self.assertNotIn("accepted", self.talk(self.b, self.a))
        self.a.log.wait_for("warning peer refused .*did not return a certificate")

    def test_older_tls_is_refused(self):
        self.start()
        said = self.talk(self.b, self.a, version="TLSv1_2", **self.member())
        self.assertIn("protocol version", said)

    def test_a_revoked_certificate_is_refused(self):
        self.start()
        self.join(self.b)
        self.b.start()
        self.assertEqual(self.states(self.b), {"a": "up", "b": "up"})
        self.good(self.a.ckd("revoke", "b"))
        row = self.b.hosts()["a"]
        self.assertEqual(row["state"], "refused")
        self.assertIn("revoked", row["reason"])
        self.a.log.wait_for("warning peer refused .*certificate of b: certificate revoked")
        self.fails(self.a.ckd("revoke", "b"), NOT_FOUND, about=["no host b"])

    def test_the_others_refuse_who_was_revoked(self):
        c = self.network.add("c")
        c.user = self.user
        self.start()
        for host in (self.b, c):
            self.join(host)
            host.start()
        self.b.log.wait_for("info reloaded peers=2")
        self.good(self.a.ckd("revoke", "c"))
        self.b.log.wait_for("reloaded peers=2", count=2)
        self.assertEqual(self.states(c), {"a": "refused", "b": "refused", "c": "up"})
        self.assertIn("certificate of c: certificate revoked", self.b.hosts()["c"]["reason"])

    def test_another_name_than_the_certificates_is_refused(self):
        self.start()
        said = self.talk(self.b, self.a, **{**self.member(), "name": "x"}, more="02000000" + "1a00")
        self.assertIn("closed", said)
        self.a.log.wait_for("warning peer cut off .*host=b reason=\"it calls itself x\"")

    def test_an_oversized_message_is_cut_off(self):
        self.start()
        self.assertEqual(self.talk(self.b, self.a, **self.member(), more="ffffff7f"),
                         "accepted\nclosed\n")
        self.a.log.wait_for("warning peer cut off .*over the limit")

    def test_a_damaged_message_is_cut_off(self):
        self.start()
        for more in ("01000000ff", "00000000"):
            self.assertEqual(self.talk(self.b, self.a, **self.member(), more=more),
                             "accepted\nclosed\n")
            self.b.leave()
            self.good(self.a.ckd("revoke", "b"))

    def test_a_question_is_answered_and_what_is_not_for_here_refused(self):
        self.start()
        member = self.member()
        for kind in ("1a00", "5a00"):  # host_query; news, which only the authority may send
            said = self.talk(self.b, self.a, **member, more="02000000" + kind)
            self.assertIn(said, ("accepted\nanswered\n", "accepted\nclosed\n"))
        self.assertEqual(self.states(self.a)["a"], "up")

    def set_limit(self, before, line):
        """Only once everything is set up: a busy machine may be slower than such a limit."""
        reloads = len([text for text in self.a.log.text.splitlines() if b"info reloaded" in text])
        self.a.edit("ckd.toml", before, line)
        self.a.daemon.send_signal(signal.SIGHUP)
        self.a.log.wait_for("info reloaded", count=reloads + 1)

    def test_silent_peers_are_cut_off(self):
        self.start()
        member = self.member()
        self.set_limit("[limits]", "[limits]\nhandshake = \"300ms\"")
        silent = self.b.run(sys.executable, "-c", "import socket\n"
                            f"talk = socket.create_connection(('{self.a.ip}', {PORT}))\n"
                            "print(talk.recv(1))")
        self.assertEqual(silent.stdout, "b''\n", silent.stderr)
        self.a.log.wait_for("warning peer refused .*silent for too long")
        self.set_limit("handshake = \"300ms\"", "idle = \"300ms\"")
        self.assertEqual(self.talk(self.b, self.a, **member), "accepted\nclosed\n")
        self.a.log.wait_for("warning peer cut off .*host=b reason=\"it was silent for too long\"")

    def test_connections_of_one_peer_are_limited(self):
        self.start("connections_per_peer = 2")
        done = self.b.run(sys.executable, "-c", "import socket\n"
                          f"talks = [socket.create_connection(('{self.a.ip}', {PORT}))"
                          " for _ in range(3)]\n"
                          "print(talks[2].recv(1))")
        self.assertEqual(done.stdout, "b''\n", done.stderr)
        self.a.log.wait_for("warning peer refused .*too many connections")


class Batch(Hosts):
    """The other hosts are those that a batch system lists."""
    names = "ab"

    def setUp(self):
        super().setUp()
        self.cluster()
        self.a.stop()
        with open(self.a.config("peers.toml"), "w", encoding="ascii"):
            pass

    def lists_both(self, how):
        self.a.start("--peers-from", how)
        self.assertEqual(self.states(self.a), {"a": "up", "b": "up"})

    def test_slurm(self):
        self.a.program("sinfo", "[ \"$*\" = '-N -h -o %N' ] && printf 'a\nb\nb\n'")
        self.lists_both("slurm")

    def test_gridengine(self):
        self.a.program("qhost", "printf 'HOSTNAME ARCH\n-----\nglobal -\na lx\nb lx\n'")
        self.lists_both("gridengine")

    def test_a_file_that_is_read_again(self):
        path = os.path.join(self.a.home, "machines")
        with open(path, "w", encoding="ascii") as file:
            file.write("# none yet\n")
        self.a.start("--peers-from", path)
        self.assertEqual(self.states(self.a), {"a": "up"})
        with open(path, "w", encoding="ascii") as file:
            file.write("a\nb\n")
        self.a.daemon.send_signal(signal.SIGHUP)
        self.a.log.wait_for("info reloaded peers=1")
        self.assertEqual(self.states(self.a), {"a": "up", "b": "up"})

    def test_a_batch_system_that_fails_is_an_error(self):
        self.a.program("sinfo", "exit 1")
        self.fails(self.a.ckd("--peers-from", "slurm"), SYSTEM, about=["sinfo failed"])
        self.a.program("sinfo", "echo 'slurm_load_partitions: Unable to contact'")
        self.fails(self.a.ckd("--peers-from", "slurm"), REFUSED, about=["not understood"])


class Root(Hosts):
    """Daemons of root serve every user, each as that user."""
    names = "ab"
    user = 0

    def test_users_see_their_own_jobs_on_all_hosts(self):
        self.cluster()
        done = self.b.run(self.bench.tool("ckrun"), "--name", "mine", "true", user=USER_ID)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = json.loads(self.good(self.a.ckpt("ls", "--all-hosts", "--json", user=USER_ID)))
        self.assertEqual([(row["host"], row["name"], row["state"]) for row in rows],
                         [("b", "mine", "finished 0")])
        self.assertEqual(json.loads(self.good(self.a.ckpt("ls", "--all-hosts", "--json"))), [])
        done = self.a.ckpt("ls", "--all-hosts", user=USER_ID + 1)
        self.assertEqual(done.returncode, NOT_FOUND, done.stderr)
        self.assertIn("there is no user", done.stderr)

    def test_what_a_user_may_not_read_root_does_not_read_for_them(self):
        self.cluster()
        jobs = os.path.join(self.b.home, ".local/state/ckrun")
        os.makedirs(os.path.dirname(jobs))
        os.chmod(os.path.join(self.b.home, ".local"), 0o755)
        secret = os.path.join(self.b.folder, "etc")  # only root can list it
        os.chmod(secret, 0o700)
        os.symlink(secret, jobs)
        done = self.a.ckpt("ls", "--all-hosts", user=USER_ID)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("host b: listing the jobs of ann failed", done.stderr)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
