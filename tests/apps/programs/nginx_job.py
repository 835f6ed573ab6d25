"""nginx with three workers and its clients in one job: kept connections and new ones, files by
sendfile, a proxied location, a reload half-way. Arguments: requests of each client, port."""
import hashlib
import http.client
import os
import random
import socket
import subprocess
import sys
import time

CONFIGURATION = """
daemon off;
worker_processes 3;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 200; {events} }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  sendfile on; tcp_nopush on; keepalive_requests 100;
  # Not a part of what comes at once, 32768 bytes: where buffers are just full when all that has come
  # is read, nginx 1.22 has no timer, and an old worker takes that for the end of its work.
  proxy_buffer_size 5k; proxy_buffers 8 5k;
  server {{
    listen 127.0.0.1:{port} {listen};
    location / {{ root {folder}/pages; }}
    location /again/ {{ proxy_pass http://127.0.0.1:{port}/; }}
    location /status {{ return 200 "fine\\n"; }}
  }}
}}
"""
SIZES = (0, 1, 700, 40000, 900000)


def prepare(folder, port):
    os.makedirs(f"{folder}/pages", exist_ok=True)
    for number, size in enumerate(SIZES):
        with open(f"{folder}/pages/{number}", "wb") as file:
            file.write(random.Random(number).randbytes(size))
    events, listen = ("accept_mutex on;", "") if len(sys.argv) < 4 else ("", "reuseport")
    with open(f"{folder}/nginx.conf", "w", encoding="ascii") as file:
        file.write("user root;" if os.geteuid() == 0 else "")
        file.write(CONFIGURATION.format(folder=folder, port=port, events=events, listen=listen))


def wait_for(port):
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)


def one_request(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status)
    return body


def client(number, requests, port, out):
    chance, digest = random.Random(number), hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(requests):
        if chance.random() < 0.2:
            connection.close()
        path = chance.choice(("/status", "/again/status", *(f"/{i}" for i in range(len(SIZES))),
                              *(f"/again/{i}" for i in range(len(SIZES)))))
        # A worker that is replaced closes its kept connections between requests.
        for _ in range(20):
            try:
                body = one_request(connection, path)
                break
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                connection.close()
        else:
            raise AssertionError(f"{path}: no answer")
        if path[-1].isdigit():
            assert body == random.Random(int(path[-1])).randbytes(SIZES[int(path[-1])]), path
        digest.update(path.encode() + body)
    os.write(out, f"{number} {digest.hexdigest()}\n".encode())


def main():
    requests, port = int(sys.argv[1]), int(sys.argv[2])
    folder = os.getcwd()
    prepare(folder, port)
    command = ["/usr/sbin/nginx", "-p", folder, "-e", f"{folder}/error.log", "-c",
               f"{folder}/nginx.conf"]
    server = subprocess.Popen(command)
    wait_for(port)
    reader, writer = os.pipe()
    children = []
    for number in range(5):
        pid = os.fork()
        if pid == 0:
            client(number, requests, port, writer)
            os._exit(0)
        children.append(pid)
    os.close(writer)
    with os.fdopen(reader) as answers:
        lines = [answers.readline()]
        subprocess.run([*command, "-s", "reload"], check=True)
        lines += answers
    print("".join(sorted(lines)), [os.waitpid(child, 0)[1] for child in children], flush=True)
    subprocess.run([*command, "-s", "quit"], check=True)
    print(server.wait())


main()
