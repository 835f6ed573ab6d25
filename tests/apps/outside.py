#!/usr/bin/python3
"""Servers as jobs, with clients that are none of the job: they lose their connections when the
server is killed and restarted, connect again, and nothing that was acknowledged to them is lost."""
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case, processes  # noqa: E402
from harness.job import Job  # noqa: E402
from servers import free_port  # noqa: E402

ROUNDS = 3
CLIENTS = 4
PATIENCE_SECONDS = 60


class Load:
    """Clients in threads. A client's step() talks to the server once; it connects anew after an
    OSError, and gives up when the server does not come back."""

    def __init__(self, make_client):
        self.stopping, self.failures = threading.Event(), []
        self.clients = [make_client(number) for number in range(CLIENTS)]
        self.threads = [threading.Thread(target=self._run, args=(client,), daemon=True)
                        for client in self.clients]
        for thread in self.threads:
            thread.start()

    def _run(self, client):
        last = time.monotonic()
        try:
            while not self.stopping.is_set():
                try:
                    client.step()
                    last = time.monotonic()
                except OSError:
                    client.disconnect()
                    if time.monotonic() > last + PATIENCE_SECONDS:
                        raise
                    time.sleep(0.005)
        except BaseException as failure:  # noqa: BLE001: told to the test
            self.failures.append(repr(failure))

    def steps(self):
        return [client.steps for client in self.clients]

    def wait_for_progress(self):
        """Until each client has been served again."""
        before, deadline = self.steps(), time.monotonic() + PATIENCE_SECONDS
        while not self.failures and time.monotonic() < deadline:
            if all(now > then + 1 for now, then in zip(self.steps(), before)):
                return
            time.sleep(0.01)
        raise AssertionError(f"clients are not served: {self.steps()} after {before}, "
                             f"{self.failures}")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE_SECONDS)
        assert not self.failures, self.failures


class RedisClient:
    def __init__(self, number, port):
        self.number, self.port, self.stream, self.steps = number, port, None, 0

    def ask(self, *words):
        if self.stream is None:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            self.stream = connection.makefile("rwb")
            connection.close()  # the stream keeps it
        parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
        self.stream.write("".join(parts).encode())
        self.stream.flush()
        answer = self.stream.readline()
        if not answer.endswith(b"\r\n") or answer.startswith(b"-LOADING"):
            raise ConnectionResetError("closed")
        if answer[:1] == b"$" and answer != b"$-1\r\n":
            return self.stream.read(int(answer[1:]) + 2)[:-2].decode()
        return answer.decode().strip()

    def step(self):
        answer = self.ask("set", f"key:{self.number}:{self.steps}", str(self.steps * 7))
        assert answer == "+OK", answer
        self.steps += 1  # acknowledged

    def disconnect(self):
        if self.stream is not None:
            try:
                self.stream.close()
            except OSError:
                pass
            self.stream = None

    def missing(self):
        """Acknowledged writes that the server does not know."""
        return [key for key in range(self.steps)
                if self.ask("get", f"key:{self.number}:{key}") != str(key * 7)]


class HttpClient:
    def __init__(self, number, port, pages):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.chance, self.pages, self.steps = random.Random(number), pages, 0

    def step(self):
        name = self.chance.choice(sorted(self.pages))
        try:
            self.connection.request("GET", f"/{name}")
            answer = self.connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as failure:
            raise ConnectionResetError(repr(failure)) from failure
        assert answer.status == 200, answer.status
        assert body == self.pages[name], f"{name}: {len(body)} bytes"
        self.steps += 1

    def disconnect(self):
        self.connection.close()


class Outside(case.Case):
    def setUp(self):
        super().setUp()
        seed = int(os.environ.get("CKRUN_TEST_SEED", random.randrange(1 << 30)))
        print(f"seed {seed}")
        self.random = random.Random(seed)
        self.port = int(free_port())

    def need(self, *paths):
        for path in paths:
            if shutil.which(path) is None:
                self.skipTest(f"{path} is not installed")

    def disturb(self, job, load, *options):
        for _ in range(ROUNDS):
            load.wait_for_progress()
            time.sleep(self.random.uniform(0, 0.3))
            job.checkpoint(*options)
            time.sleep(self.random.uniform(0, 0.1))
            job.kill()
            job.restart()
            job.wait_restarted()
        load.wait_for_progress()

    def start_redis(self):
        self.need("redis-server")
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                   "--appendonly", "yes", "--appendfsync", "always", "--logfile", "server.log"]
        job = Job(self.bench, command, restart_options=["--pids", "namespace"])
        job.start()
        job.note_pid()
        return job, Load(lambda number: RedisClient(number, self.port)), command

    def shut_redis_down(self, load):
        for client in load.clients:
            client.disconnect()
        try:
            load.clients[0].ask("shutdown")
        except OSError:
            pass

    def missing(self, load):
        return [client.missing() for client in load.clients]

    def check_from_file(self, load, command):
        """A new server, which has read the append-only file."""
        server = subprocess.Popen(command, cwd=self.bench.work, env=self.bench.environment,
                                  **self.bench.identity())
        self.addCleanup(server.kill)
        checking = Load(lambda number: RedisClient(number + CLIENTS, self.port))
        checking.wait_for_progress()
        checking.stop()
        for client in load.clients:
            client.disconnect()
        self.assertEqual(self.missing(load), [[]] * CLIENTS)
        self.shut_redis_down(load)
        self.assertEqual(server.wait(30), 0)

    def test_redis_stopped_by_its_checkpoint(self):
        """What was acknowledged is in the restarted server's memory, and in its file."""
        job, load, command = self.start_redis()
        self.disturb(job, load, "--stop")
        load.stop()
        self.assertEqual(self.missing(load), [[]] * CLIENTS)
        self.shut_redis_down(load)
        self.assertEqual(job.finish(), 0, job.report())
        self.check_from_file(load, command)

    def test_redis_killed_after_its_checkpoint(self):
        """What was acknowledged between checkpoint and kill is in the file, which is left alone."""
        job, load, command = self.start_redis()
        self.disturb(job, load)
        load.stop()
        self.shut_redis_down(load)
        self.assertEqual(job.finish(), 0, job.report())
        self.check_from_file(load, command)

    def test_nginx(self):
        self.need("/usr/sbin/nginx")
        pages = {f"page{i}": random.Random(i).randbytes(size)
                 for i, size in enumerate((0, 10, 5000, 300000))}
        for name, content in pages.items():
            with open(os.path.join(self.bench.work, name), "wb") as file:
                file.write(content)
            self.bench.give(os.path.join(self.bench.work, name))
        work = self.bench.work
        settings = [f"{kind}_temp_path {work}/{kind};" for kind in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")]
        configuration = os.path.join(work, "nginx.conf")
        with open(configuration, "w", encoding="ascii") as file:
            file.write(f"daemon off; worker_processes 3; pid {work}/pid; error_log {work}/error.log;"
                       "events { worker_connections 100; }"
                       f"http {{ access_log {work}/access.log; {' '.join(settings)} sendfile on;"
                       f"server {{ listen 127.0.0.1:{self.port}; root {work}; }} }}\n")
        self.bench.give(configuration)
        command = ["/usr/sbin/nginx", "-p", work, "-e", f"{work}/error.log", "-c", configuration]
        job = Job(self.bench, command, restart_options=["--pids", "namespace"])
        job.start()
        job.note_pid()
        load = Load(lambda number: HttpClient(number, self.port, pages))
        self.disturb(job, load)
        load.stop()
        processes.kill(job.pid(), signal.SIGQUIT)
        self.assertEqual(job.finish(), 0, job.report())


if __name__ == "__main__":
    sys.exit(case.main(__name__))
