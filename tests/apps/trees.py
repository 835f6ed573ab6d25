"""Real programs of many processes. `changes_files`: the job is stopped by its checkpoint, for files
are no part of the image: what it changed afterwards would stay changed."""
import os
import shutil
import subprocess

from harness.job import Skipped

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


def need(*programs):
    paths = [shutil.which(program, path="/usr/bin:/bin:/usr/local/bin") for program in programs]
    if None in paths:
        raise Skipped(f"{programs[paths.index(None)]} is not installed")
    return paths[0]


def source(name):
    return os.path.join(PROGRAMS, name)


def changes_files(app):
    app.changes_files = True
    return app


def after_first_output(app):
    """It is let alone until it has printed something."""
    app.after_first_output = True
    return app


@changes_files
def pipelines(_):
    return [need("bash", "xz", "sort", "awk", "tee"), source("pipelines.sh"), "6"], {}


@changes_files
def make(bench):
    need("make", "gcc")
    subprocess.run([need("python3"), source("make_project.py")], cwd=bench.work, check=True,
                   **bench.identity())
    return [need("sh"), "-c", "make -s clean && make -s -j4 && ./program"], {"CC": "gcc"}


def pool(_):
    return [need("python3"), source("pool.py"), "400"], {}


def subprocesses(_):
    return [need("python3"), source("subprocesses.py"), "12"], {}


def perl_forks(_):
    return [need("perl"), source("forks.pl"), "60"], {}


@changes_files
def git(_):
    need("git")
    return [need("bash"), source("repository.sh"), "60"], {}


@after_first_output
def mpich(bench):
    """MPI_Init is let alone: there UCX compares the namespaces of the processes. Where it has seen
    some before a restart and some after it, it takes TCP instead of shared memory, and then
    MPI_Finalize of MPICH 4.0 hangs, in 4 of 10 runs without ckrun, too (UCX_TLS=tcp,self)."""
    program = os.path.join(bench.work, "heat")
    done = bench.run([need("mpicc"), "-O2", "-o", program, source("heat.c"), "-lm"])
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return [need("mpiexec"), "-n", "4", program, "800"], {}


def tclsh(_):
    return [need("tclsh"), source("events.tcl"), "150"], {}


@changes_files
def gcc(bench):
    path = os.path.join(bench.work, "many.c")
    with open(path, "w", encoding="ascii") as file:
        subprocess.run([need("python3"), source("many_functions.py"), "250"], stdout=file, check=True)
    bench.give(path)
    return [need("sh", "gcc"), "-c",
            "gcc -pipe -O2 -o many many.c && cksum many && exec ./many"], {}


def gdb(bench):
    program = os.path.join(bench.build, "tests", "apps", "pipeline")
    return [need("gdb"), "-nx", "-batch", "-x", source("symbols.py"), program], {}


def node_cluster(_):
    return [need("node"), source("cluster.js"), "4000"], {}


TREES = (pipelines, make, pool, subprocesses, perl_forks, git, mpich, tclsh, gcc, gdb, node_cluster)
