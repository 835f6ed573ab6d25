#!/usr/bin/python3
"""What the injected code may depend on, read from the built files: the restorer needs no loader and
has no data; the agent exports what interpose/wrappers.def says and needs libc alone; a parked thread
never leaves the section "ckserve"."""
import os
import re
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from harness import case  # noqa: E402

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
RESTORER = os.path.join("lib", "ckrun", "ckrun-restorer")
AGENT = os.path.join("lib", "libckrun.so")

# Weak references that gcc's start files put into every shared library; nothing need define them.
START_FILES = {"_ITM_deregisterTMCloneTable", "_ITM_registerTMCloneTable", "__gmon_start__"}
# The two branches whose target is not in the code: a new thread calls the serve loop for its slot,
# and kJump goes to the serve loop of the other copy (abi/serve.h).
INDIRECT = 2


def tool(name, *arguments):
    done = subprocess.run([name, *arguments], capture_output=True, text=True, check=True,
                          env={**os.environ, "LC_ALL": "C"})
    return done.stdout


def sections(path):
    """name -> (size, flags)"""
    table = {}
    for line in tool("readelf", "-SW", path).splitlines():
        found = re.match(r"\s*\[ *\d+\] (\S+)\s+\S+\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) \S+ +([A-Za-z]*) ",
                         line)
        if found:
            table[found[1]] = (int(found[2], 16), found[3])
    return table


def branches(path, section):
    """(direct targets, indirect branches, begin, end) of the code of a section"""
    direct, indirect, addresses = [], [], []
    for line in tool("objdump", "-d", "-j", section, "--no-show-raw-insn", path).splitlines():
        found = re.match(r"\s*([0-9a-f]+):\s+(?:(?:notrack|bnd|rep[nz]*|lock) )*(\S+)\s*(.*)", line)
        if not found:
            continue
        addresses.append(int(found[1], 16))
        if re.match(r"call|j[a-z]+$|loop|xbegin", found[2]):
            target = re.match(r"([0-9a-f]+)\b", found[3])
            if target:
                direct.append((int(target[1], 16), line.strip()))
            else:
                indirect.append(line.strip())
    return direct, indirect, min(addresses), max(addresses)


class Symbols(unittest.TestCase):
    longMessage = True

    def setUp(self):
        for name in ("nm", "readelf", "objdump"):
            if shutil.which(name) is None:
                self.skipTest(f"no {name} on this machine")
        self.restorer = os.path.join(case.BUILD, RESTORER)
        self.agent = os.path.join(case.BUILD, AGENT)

    def test_restorer_has_no_undefined_symbol(self):
        self.assertEqual(tool("nm", "--undefined-only", self.restorer).split(), [])

    def test_restorer_needs_no_loader(self):
        self.assertIn("no relocations", tool("readelf", "-rW", self.restorer))
        program = tool("readelf", "-lW", self.restorer)
        self.assertNotIn("INTERP", program)
        self.assertNotIn("TLS", program)
        self.assertNotIn("NEEDED", tool("readelf", "-dW", self.restorer))

    def test_restorer_has_no_writable_data(self):
        """But for .dynamic, which only a loader would write to."""
        found = [name for name, (size, flags) in sections(self.restorer).items()
                 if "W" in flags and "A" in flags and size and name != ".dynamic"]
        self.assertEqual(found, [])

    def test_agent_exports_its_wrappers(self):
        with open(os.path.join(SOURCE, "interpose", "wrappers.def"), encoding="ascii") as file:
            declared = re.findall(r"^CK_WRAPPER\((\w+), (\w+)\)$", file.read(), re.MULTILINE)
        self.assertEqual({why for _, why in declared} - {"timed", "blocks", "exec", "ids"}, set())
        names = [name for name, _ in declared]
        self.assertEqual(len(names), len(set(names)), "a wrapper is declared twice")
        exported = {line.split()[-1] for line in
                    tool("nm", "-D", "--defined-only", self.agent).splitlines()}
        self.assertEqual(exported, set(names))

    def test_agent_needs_libc_alone(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", tool("readelf", "-dW", self.agent))
        self.assertEqual(needed, ["libc.so.6"])
        undefined = {line.split()[-1] for line in
                     tool("nm", "-D", "--undefined-only", self.agent).splitlines()}
        foreign = {name for name in undefined - START_FILES if "@GLIBC_" not in name}
        self.assertEqual(foreign, set())

    def expect_closed(self, path):
        direct, indirect, begin, end = branches(path, "ckserve")
        self.assertTrue(direct, "nothing was disassembled")
        leaving = [line for target, line in direct if not begin <= target <= end]
        self.assertEqual(leaving, [])
        self.assertEqual(len(indirect), INDIRECT, indirect)

    def test_serve_loop_calls_nothing_outside(self):
        self.expect_closed(self.agent)
        self.expect_closed(self.restorer)


if __name__ == "__main__":
    sys.exit(case.main(__name__))
