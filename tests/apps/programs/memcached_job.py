"""memcached with clients over TCP and over its UNIX socket, in one job. Each client checks every
answer. Arguments: rounds of each client."""
import os
import socket
import subprocess
import sys
import time

KEYS = 200


class Client:
    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.connect(address)
        self.stream = self.socket.makefile("rwb")

    def ask(self, text, payload=None):
        self.stream.write(text.encode() + b"\r\n" + (payload + b"\r\n" if payload is not None else b""))
        self.stream.flush()
        return self.stream.readline().rstrip().decode()

    def get(self, key):
        answer = self.ask(f"get {key}").split()
        if answer == ["END"]:
            return None
        value = self.stream.read(int(answer[3]) + 2)[:-2]
        assert self.stream.readline() == b"END\r\n"
        return value


def value_of(number, step):
    return f"{number}:{step}:".encode() * (1 + (number * 7 + step) % 40)


def work(number, address, rounds):
    client, seen = Client(address), {}
    for step in range(rounds):
        key = f"key-{number}-{step * 31 % KEYS}"
        assert client.get(key) == seen.get(key), key
        seen[key] = value_of(number, step)
        assert client.ask(f"set {key} 0 0 {len(seen[key])}", seen[key]) == "STORED"
        int(client.ask("incr counter 1"))
    for key, value in seen.items():
        assert client.get(key) == value, key


def start(options):
    user = ["-u", "root"] if os.geteuid() == 0 else []
    return subprocess.Popen(["memcached", "-t", "3", "-m", "32", *user, *options])


def wait_for(address):
    while True:
        try:
            return Client(address)
        except (ConnectionRefusedError, FileNotFoundError):
            time.sleep(0.01)


def in_child(task, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            task(*arguments)
            os._exit(0)
        except BaseException as failure:  # noqa: BLE001: the parent sees the status
            print("client:", repr(failure), flush=True)
            os._exit(1)
    return pid


def main():
    rounds, port = int(sys.argv[1]), int(sys.argv[2])
    path = os.path.abspath("memcached.socket")
    servers = [start(["-l", "127.0.0.1", "-p", str(port), "-U", "0"]), start(["-s", path])]
    addresses = [("127.0.0.1", port), path]
    clients = [wait_for(address) for address in addresses]
    for client in clients:
        assert client.ask("set counter 0 0 1", b"0") == "STORED"
    children = [in_child(work, number, addresses[number % 2], rounds) for number in range(6)]
    print([os.waitpid(child, 0)[1] for child in children], flush=True)
    for client in clients:
        print(client.get("counter").decode(), client.ask("version").split()[0], flush=True)
        client.socket.close()
    for server in servers:
        server.terminate()
        print(server.wait())


main()
