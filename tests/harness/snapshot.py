"""What /proc tells about a process, in a form that is equal before and after a round trip.

Left out or made alike: kernel-wide numbers (inodes of pipes and sockets become 1, 2, … in order of
appearance), sizes that the process changes by itself (stack), the bounding set of capabilities
(the guest "capabilities" looks at it), and what belongs to ckrun: the mapping of the control area and the restorer's."""
import os
import re

from . import processes

# Mappings that are ckrun's, whose place and name may differ from one life to the next.
OWN_MAPPINGS = re.compile(r"ckrun|ckrestore|restorer")
AGENT = "libckrun.so"
GATE_PAGE = re.compile(r"5f[0-9a-f]{2}00000000-5f[0-9a-f]{2}00001000 r-xp")
SIGSYS = 31
UNNAMED = ("/memfd:shared (deleted)",)
O_TMPFILE = 0o20200000  # of the opening alone
O_LARGEFILE = 0o100000  # means nothing on x86-64; a pipe has it or not, by how it was opened

PROCESS_FIELDS = ("Umask", "Uid", "Gid", "Groups", "Threads", "ShdPnd", "SigIgn", "SigCgt",
                  "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp",
                  "VmLck", "THP_enabled")
THREAD_FIELDS = ("Name", "SigPnd", "SigBlk", "Cpus_allowed_list")
ZOMBIE_MASKS = ("SigPnd", "SigBlk")
PF_IO_WORKER = 0x10
FLAGS_FIELD = 6  # counted as the next
STAT_FIELDS = {"nice": 16, "rt_priority": 37, "policy": 38}  # counted after the command's name


class Numbering:
    """1, 2, 3, … for names such as "pipe:[12345]", equal for equal ones."""

    def __init__(self):
        self.seen = {}

    def __call__(self, target):
        match = re.fullmatch(r"(pipe|socket):\[(\d+)\]", target)
        if match:
            return f"{match[1]}:#{self.seen.setdefault(target, len(self.seen) + 1)}"
        if target.endswith(" (deleted)") and not target.startswith("/memfd:"):
            return "(deleted)"
        return target


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def living_task(pid):
    """/proc folder of a thread that lives: a leader that called pthread_exit shows nothing."""
    tasks = sorted(os.listdir(f"/proc/{pid}/task"), key=lambda task: (int(task) != pid, int(task)))
    for task in tasks:
        if processes.status(pid, task).get("State", "\tZ").strip()[0] not in "ZX":
            return f"/proc/{pid}/task/{task}"
    raise FileNotFoundError(f"process {pid} has ended")


def descriptors(folder):
    number, table = Numbering(), {}
    for name in sorted(os.listdir(f"{folder}/fd"), key=int):
        try:
            target = os.readlink(f"{folder}/fd/{name}")
            info = _read(f"{folder}/fdinfo/{name}").decode()
        except FileNotFoundError:
            continue
        fields = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        flags = int(fields["flags"], 8) & ~O_LARGEFILE
        if flags & O_TMPFILE == O_TMPFILE:
            flags &= ~O_TMPFILE
        entry = {"flags": f"{flags:o}", "pos": fields["pos"].strip()}
        if int(name) > 2:  # std streams are connected to those of ckpt restart
            entry["target"] = number(target)
        table[int(name)] = entry
    return table


def mappings(folder):
    merged = []
    for line in _read(f"{folder}/maps").decode("utf-8", "surrogateescape").splitlines():
        parts = line.split(None, 5)
        begin, end = (int(part, 16) for part in parts[0].split("-"))
        permissions, offset, name = parts[1], int(parts[2], 16), parts[5] if len(parts) > 5 else ""
        if OWN_MAPPINGS.search(os.path.basename(name)) and AGENT not in name:
            continue
        # What has no name any more comes back as a memfd or, where private, as plain memory.
        if name.endswith(" (deleted)"):
            if permissions[3] != "s":
                name, offset = "", 0
            elif not name.startswith("/memfd:") or name in UNNAMED:
                name = "(deleted)"
        if name == "[stack]":
            begin = 0
        last = merged[-1] if merged else None
        follows = last and last[1] == begin and last[2] == permissions and last[4] == name
        if follows and (name in ("", "[heap]") or last[3] + (last[1] - last[0]) == offset):
            last[1] = end
        else:
            merged.append([begin, end, permissions, 0 if name in ("", "[heap]") else offset, name])
    return [f"{b:x}-{e:x} {p} {o:x} {n}".rstrip() for b, e, p, o, n in merged]


def _stat(pid, task):
    words = _read(f"/proc/{pid}/task/{task}/stat").decode("utf-8", "replace").rpartition(")")[2].split()
    return {name: words[index] for name, index in STAT_FIELDS.items()}


def is_kernels_own(pid, task):
    """A worker or polling thread of an io_uring: they come and go as the kernel likes."""
    try:
        words = _read(f"/proc/{pid}/task/{task}/stat").decode("utf-8", "replace").rpartition(")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return int(words.split()[FLAGS_FIELD]) & PF_IO_WORKER != 0


def threads(pid):
    table = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        fields = processes.status(pid, task)
        if not fields or is_kernels_own(pid, task):
            continue
        entry = {name: fields[name].strip() for name in THREAD_FIELDS if name in fields}
        if fields["State"].strip()[0] != "Z":
            entry.update(_stat(pid, task))
        else:
            # A leader that has ended reports no schedule. Its masks mean nothing: no signal comes to
            # it any more, and they are those of its last instruction (glibc's pthread_exit, or the
            # restorer, which blocks all).
            for name in ZOMBIE_MASKS:
                entry.pop(name, None)
        table[int(fields["NSpid"].split()[-1])] = entry
    return table


def forget_ids(state):
    """For --pids virtual: numbers of threads differ, the gate page is new, and what ckrun uses for
    itself shows: SIGSYS is handled and never blocked, there is a filter, which needs no_new_privs."""
    sigsys = 1 << (SIGSYS - 1)
    for name in ("Seccomp", "NoNewPrivs"):
        state["process"].pop(name, None)
    state["process"]["SigCgt"] = f"{int(state['process']['SigCgt'], 16) & ~sigsys:016x}"
    tasks = [state["threads"][tid] for tid in sorted(state["threads"])]
    for task in tasks:
        if "SigBlk" in task:
            task["SigBlk"] = f"{int(task['SigBlk'], 16) & ~sigsys:016x}"
    state["threads"] = dict(enumerate(sorted(tasks, key=repr)))
    for line in [line for line in state.get("mappings", {}) if GATE_PAGE.match(line)]:
        del state["mappings"][line]
    del state["links"]["exe"]  # only privilege can set it


def take(pid, with_maps=True, virtual_ids=False):
    """A dict of dicts; compare two with differences()."""
    folder = living_task(pid)
    fields = processes.status(pid, os.path.basename(folder))
    state = {
        "process": {name: fields[name].strip() for name in PROCESS_FIELDS if name in fields},
        "links": {name: os.readlink(f"{folder}/{name}") for name in ("cwd", "root", "exe")},
        "descriptors": descriptors(folder),
        "threads": threads(pid),
        "limits": dict(enumerate(_read(f"{folder}/limits").decode().splitlines()[1:])),
        "text": {name: _read(f"{folder}/{name}")
                 for name in ("cmdline", "environ", "comm", "personality", "oom_score_adj")},
    }
    state["process"]["Threads"] = str(len(state["threads"]))
    if with_maps:
        state["mappings"] = {line: "" for line in mappings(folder)}
    if virtual_ids:
        forget_ids(state)
    return state


def starts_thread(state):
    """Whether a thread has not come to its own code yet: libc blocks all signals meanwhile, also
    those of its own, which a program cannot block through it."""
    own_signal = 1 << (32 - 1)
    return any(int(thread.get("SigBlk", "0"), 16) & own_signal
               for thread in state["threads"].values())


def differences(before, after):
    """One readable line for each difference."""
    lines = []
    for part in before:
        for key in before[part].keys() | after[part].keys():
            old, new = before[part].get(key, "absent"), after[part].get(key, "absent")
            if old != new:
                lines.append(f"{part}: {key}: before {old or 'present'}, after {new or 'present'}")
    return sorted(lines)
