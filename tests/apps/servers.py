"""Servers with their clients in one job."""
import glob
import os
import pwd
import socket

from harness.job import Skipped
from trees import changes_files, need, source


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


@changes_files
def redis(_):
    need("redis-server")
    return [need("bash"), source("redis_job.sh"), free_port(), "40000"], {}


@changes_files
def database(_):
    need("sqlite3")
    return [need("python3"), source("database.py"), "9000"], {}


def memcached(_):
    need("memcached")
    return [need("python3"), source("memcached_job.py"), "5000", free_port()], {}


def nginx_installed():
    if not os.path.exists("/usr/sbin/nginx"):
        raise Skipped("nginx is not installed")


@changes_files
def nginx(_):
    nginx_installed()
    return [need("python3"), source("nginx_job.py"), "700", free_port()], {}


@changes_files
def nginx_reuseport(_):
    return [*nginx(_)[0], "reuseport"], {}


def postgres_user():
    """PostgreSQL wants a user with a name, and not root: that of Debian's package."""
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        raise Skipped("PostgreSQL is not installed") from None


@changes_files
def postgres(_):
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))
    if not programs:
        raise Skipped("PostgreSQL is not installed")
    return [need("bash"), source("postgres_job.sh"), os.path.dirname(programs[-1]), "500"], {}


postgres.user = postgres_user

SERVERS = (redis, database, memcached, nginx, nginx_reuseport, postgres)
