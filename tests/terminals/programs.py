"""Interactive programs: how each is started, brought to a state that is worth keeping, tried after
the restart, and ended.

`start`: the command and its environment. `prepare`: types until the screen shows the state.
`react`: types, and waits for the right answer. `end`: types until the program ends. `cooked`: the
program reads lines. `screen`: how much of the screen comes back: "all"; "line", that which is being
typed at, of programs that do not know what else they have written; or "no", where that is none, or
changes by itself."""
import os
import shutil
import socket
import subprocess

from harness.job import Skipped

FILE = "".join(f"line {number} of a file that is longer than the screen\n"
               for number in range(1, 200))


def need(*programs):
    paths = [shutil.which(name, path="/usr/bin:/bin:/usr/sbin") for name in programs]
    if None in paths:
        raise Skipped(f"{programs[paths.index(None)]} is not installed")
    return paths[0]


class Program:
    cooked = False
    screen = "all"
    same_modes = True
    rounds = 2
    as_root = False
    status = 0
    options = ()
    restart_options = ()

    def __init__(self, bench):
        self.bench = bench

    def file(self, name, text):
        path = os.path.join(self.bench.work, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        self.bench.give(path)
        return path

    def start(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def end(self, screen):
        screen.type("q")

    def close(self):
        pass


class Vim(Program):
    def start(self):
        self.file("text", FILE)
        return [need("vim"), "-N", "-u", "NONE", "-n", "-c", "set ruler", "text"]

    def prepare(self, screen):
        screen.wait_for("line 1 of")
        screen.type("20Gonew words")
        screen.wait_for("new words")
        screen.wait_for("INSERT")

    def react(self, screen):
        screen.type(" and more")
        screen.wait_for("new words and more")
        screen.type("\x1b:1\r")
        screen.wait_for("line 1 of")
        screen.type("u\x1b[B\x1b[B")  # undo, and the keys of a terminal in its mode
        screen.wait_until(lambda text: "new words" not in text, "undo")

    def end(self, screen):
        screen.type("\x1b:wq\r")


class Nvi(Program):
    as_root = True  # to a user without a name it complains at the first change

    def start(self):
        self.file("text", FILE)
        return [need("nvi"), "text"]

    def prepare(self, screen):
        screen.wait_for("line 1 of")
        screen.type("5Gonew words\x1b")  # in an insertion it forgets keys when the window changes
        screen.wait_for("new words")

    def react(self, screen):
        screen.type("A and more\x1b")
        screen.wait_for("new words and more")
        screen.type("dd")
        screen.wait_until(lambda text: "new words" not in text, "deletion")

    def end(self, screen):
        screen.type(":wq\r")


class Nano(Program):
    def start(self):
        self.file("text", FILE)
        return [need("nano"), "-I", "-U", "text"]

    def prepare(self, screen):
        screen.wait_for("line 1 of")
        screen.type("new words")
        screen.wait_for("new words")

    def react(self, screen):
        screen.type(" and more")
        screen.wait_for("new words and more")

    def end(self, screen):
        screen.type("\x18")
        screen.wait_for("Save modified")
        screen.type("n")


class Emacs(Program):
    """SIGIO is in use: Emacs asks for it (interrupt-input) wherever it reads from a terminal."""

    def start(self):
        self.file("text", FILE)
        # Its message would come when 30 seconds have passed.
        return [need("emacs"), "-nw", "-Q", "--eval", "(setq auto-save-default nil)", "text"]

    def prepare(self, screen):
        screen.wait_for("line 1 of")
        screen.type("new words")
        screen.wait_for("new words")

    def react(self, screen):
        screen.type(" and more")
        screen.wait_for("new words and more")
        screen.type("\x1bxwhat-line\r")
        screen.wait_for("Line 1")
        screen.type("\x07")  # C-g throws away what is typed after it
        screen.wait_for("Quit")
        screen.type("\x01\x0b")  # C-a, C-k
        screen.wait_until(lambda text: "new words" not in text, "deletion")

    def end(self, screen):
        screen.type("\x18\x03")
        screen.wait_for("Save file")
        screen.type("!")


class Less(Program):
    def start(self):
        self.file("text", FILE)
        return [need("less"), "text"]

    def prepare(self, screen):
        screen.wait_for("line 1 of")
        screen.type("50g/line 6[0-9]\r")
        screen.wait_for("line 60 of")
        screen.wait_until(lambda text: "line 50 " not in text, "search")

    def react(self, screen):
        screen.type("n")
        screen.wait_until(lambda text: text.startswith("line 61 of"), "next match")
        screen.type("G")
        screen.wait_for("line 199 of")


class Top(Program):
    screen = "no"
    heading = "PID"

    def start(self):
        return [need("top"), "-d", "0.5"]

    def prepare(self, screen):
        screen.wait_for(self.heading)

    def react(self, screen):
        screen.type("h")
        screen.wait_for("Help for Interactive Commands")
        screen.type("\x1b")
        screen.wait_for("Tasks:")


class Htop(Top):
    def start(self):
        return [need("htop"), "-d", "5"]

    def react(self, screen):
        screen.type("h")
        screen.wait_for("Released under")
        screen.type("q")
        screen.wait_for("F10")


class Bash(Program):
    """readline, history, a background job and a stopped one."""
    screen = "line"

    def start(self):
        return [need("bash"), "--norc", "--noprofile", "-i"]

    def environment(self):
        return {"PS1": "prompt> ", "HISTFILE": os.path.join(self.bench.work, "history")}

    def prepare(self, screen):
        screen.wait_for("prompt>")
        screen.type("bind 'set enable-bracketed-paste off'; echo first\r")
        screen.wait_for("\nfirst")
        screen.type("sleep 1000 &\r")
        screen.wait_for("[1]")
        screen.type("echo g''o; cat\r")
        screen.wait_for("\ngo")
        screen.type("to the cat\r")
        screen.wait_until(lambda text: text.count("to the cat") == 2, "the cat's answer")
        screen.type("\x1a")
        screen.wait_for("Stopped")
        # What is typed before the line editor has the terminal stands on the screen twice.
        screen.wait_until(lambda text: text.endswith("prompt>"), "a prompt")
        screen.type("echo half a")
        screen.wait_for("echo half a")

    def react(self, screen):
        screen.type(" line\r")
        screen.wait_for("\nhalf a line")
        screen.type("jobs\r")
        screen.wait_for("Running")
        screen.type("fg\r")
        screen.wait_until(lambda text: text.rstrip().endswith("cat"), "the cat")
        screen.type("meow\r")
        screen.wait_until(lambda text: text.count("meow") == 2, "the cat's answer")
        screen.type("\x03")
        screen.type("\x1b[A\x1b[A\x1b[A")  # the history: fg, jobs, echo half a line
        screen.wait_until(lambda text: text.endswith("echo half a line"), "the history")
        screen.type("\r")
        screen.type("kill %1; wait; clear\r")
        screen.wait_until(lambda text: "half" not in text, "a clear screen")

    def end(self, screen):
        screen.type("exit 0\r")


class Python(Program):
    screen = "line"

    def start(self):
        return [need("python3"), "-q"]

    def prepare(self, screen):
        screen.wait_for(">>>")
        screen.type("x = 41\rdef f():\r")
        screen.wait_for("...")

    def react(self, screen):
        screen.type("    return x + 1\r\rf()\r")
        screen.wait_for("\n42")
        screen.type("\x1b[A")
        screen.wait_until(lambda text: text.endswith(">>> f()"), "the history")
        screen.type("\x03")
        screen.wait_for("KeyboardInterrupt")

    def end(self, screen):
        screen.type("exit()\r")


class Ipython(Program):
    screen = "line"

    def start(self):
        return [need("ipython3"), "--no-banner", "--no-confirm-exit", "--colors=NoColor"]

    def prepare(self, screen):
        screen.wait_for("In [1]:")
        screen.type("x = 41\r")
        screen.wait_for("In [2]:")

    def react(self, screen):
        screen.type("x + 1\r")
        screen.wait_for("Out[2]: 42")
        screen.wait_for("In [3]:")

    def end(self, screen):
        screen.type("exit\r")


class Mc(Program):
    def start(self):
        self.file("one-file", FILE)
        return [need("mc"), "-u", "-x", "--nosubshell", "--nocolor"]

    def prepare(self, screen):
        screen.wait_for("one-file")
        screen.wait_for("10Quit")

    def react(self, screen):
        screen.type("\x1b9")
        screen.wait_quiet()
        screen.type("\r")
        screen.wait_for("Listing format")
        screen.type("\x1b\x1b")

    def end(self, screen):
        screen.type("\x1b0")
        screen.wait_until(lambda text: "Do you really want" in text or "10Quit" not in text, "end")
        screen.type("\r")


class Dialog(Program):
    def start(self):
        return [need("dialog"), "--menu", "What to take", "15", "40", "5",
                "a", "apples", "b", "bananas", "c", "cherries"]

    def prepare(self, screen):
        screen.wait_for("cherries")
        screen.type("b")

    def react(self, screen):
        screen.type("c")
        screen.wait_quiet()

    def end(self, screen):
        screen.type("\r")


class Gdb(Program):
    screen = "line"

    def start(self):
        return [need("gdb"), "-q", "-nx", "-ex", "set confirm off", "-ex", "set pagination off",
                "-ex", "set style enabled off", need("less")]

    def prepare(self, screen):
        screen.wait_for("(gdb)")
        screen.type("set $kept = 41\r")
        screen.type("print $kept\r")
        screen.wait_for("$1 = 41")

    def react(self, screen):
        screen.type("print $kept + 1\r")
        screen.wait_for("$2 = 42")

    def end(self, screen):
        screen.type("quit\r")


class Cat(Program):
    """Lines that the terminal edits; one of them is not finished, and nobody has read it."""
    cooked = True
    screen = "no"

    def start(self):
        return [need("cat")]

    def prepare(self, screen):
        screen.type("first\rsec")
        screen.wait_for("sec")
        screen.wait_until(lambda text: text.count("first") == 2, "the answer")

    def react(self, screen):
        screen.type("ond\r")
        screen.wait_for("\nsecond")

    def end(self, screen):
        screen.type("\x04")


class Script(Program):
    """A pty inside of the job, with a shell on it."""
    screen = "no"

    def start(self):
        return [need("script"), "-q", "-c", "bash --norc --noprofile", "typescript"]

    def environment(self):
        return {"PS1": "inside> "}

    def prepare(self, screen):
        screen.wait_for("inside>")
        screen.type("bind 'set enable-bracketed-paste off'; tty; cat\r")
        screen.wait_for("/dev/pts/")
        screen.type("abc\r")
        screen.wait_until(lambda text: text.count("abc") == 2, "the cat's answer")

    def react(self, screen):
        screen.type("def\r")
        screen.wait_until(lambda text: text.count("def") == 2, "the cat's answer")
        screen.type("\x03")
        screen.wait_for("inside>")
        screen.type("tty; stty size\r")
        screen.wait_for("/dev/pts/")

    def end(self, screen):
        screen.type("exit\r")


class Tmux(Program):
    """Three windows: vi, top and a build; server, client and all in one job."""
    screen = "no"
    status = 1  # of a client whose server is killed

    def start(self):
        self.file("text", FILE)
        socket = os.path.join(self.bench.work, "socket")
        need("vim", "top", "bash")
        # It waits in the shell itself: bash loses a ^C while it starts a program (2 of 300, alone).
        self.file("build.sh", "n=0; while true; do n=$((n+1)); echo step $n; read -t 0.2; done\n")
        return [need("tmux"), "-S", socket, "-f", "/dev/null", "new-session", "-n", "edit",
                "vim -N -u NONE -n text", ";", "new-window", "-n", "watch", "top",
                ";", "new-window", "-n", "build", "bash build.sh", ";", "select-window", "-t", "0"]

    def prepare(self, screen):
        screen.wait_for("2:build")
        screen.wait_for("line 1 of")
        screen.type("onew words")
        screen.wait_for("new words")

    def react(self, screen):
        screen.type(" and more\x1b")
        screen.wait_for("new words and more")
        # What follows at once would belong to the escape.
        screen.wait_until(lambda text: "INSERT" not in text, "end of the insertion")
        screen.type("\x021")
        screen.wait_for("load average")
        screen.type("\x022")
        screen.wait_for("step ")
        first = screen.text()
        screen.wait_until(lambda text: text != first, "progress")
        screen.type("\x03")
        screen.wait_for("1:watch*")

    def end(self, screen):
        screen.wait_quiet()
        screen.type("\x02:")
        screen.wait_until(lambda text: text.splitlines()[-1] == ":", "tmux's prompt")
        screen.type("kill-server\r")


class GnuScreen(Program):
    as_root = True  # it asks for its user's name
    def start(self):
        folder = self.bench.make_folder("screens")
        self.folder = folder
        self.file("rc", "startup_message off\nvbell off\n")
        program = os.path.join(self.bench.work, "screen")
        shutil.copyfile(need("screen"), program)  # that is setgid, which ckrun refuses
        os.chmod(program, 0o755)
        return [program, "-c", "rc", "bash", "--norc", "--noprofile"]

    def environment(self):
        return {"SCREENDIR": self.folder, "PS1": "inside> "}

    def prepare(self, screen):
        screen.wait_for("inside>")
        screen.type("echo one\r")
        screen.wait_for("\none")

    def react(self, screen):
        screen.type("echo two\r")
        screen.wait_for("\ntwo")

    def end(self, screen):
        screen.type("exit\r")


class Expect(Program):
    """A program that drives another over a pty of its own."""
    cooked = True
    screen = "no"

    def start(self):
        self.file("script", """
set timeout 60
spawn -noecho bash --norc --noprofile
expect "*$ " { send "PS1=ready:\\r" }
expect "ready:" { send "echo a''b\\r" }
expect "ab\\r" { send_user "\\nsaw one\\n" }
gets stdin line
send "echo c''d\\r"
expect "cd\\r" { send_user "\\nsaw $line\\n" }
send "exit\\r"
expect eof
""")
        return [need("expect"), "-f", "script"]

    def prepare(self, screen):
        screen.wait_for("saw one")

    def react(self, screen):
        screen.type("two\r")
        screen.wait_for("saw two")

    def end(self, screen):
        pass


class Ssh(Program):
    """To an sshd outside of the job: its connection is reset by policy, so ssh ends, and the
    terminal is as ssh had found it."""
    as_root = True
    screen = "no"
    same_modes = False
    rounds = 1
    server = None

    def start(self):
        folder = self.bench.make_folder("ssh")
        key, config = os.path.join(folder, "key"), os.path.join(folder, "config")
        subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        os.makedirs("/run/sshd", exist_ok=True)  # sshd insists on it
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        with open(config, "w", encoding="ascii") as file:
            file.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nUsePAM no\n"
                       f"AuthorizedKeysFile {key}.pub\nStrictModes no\nPidFile none\n"
                       "PermitRootLogin prohibit-password\n")
        self.server = subprocess.Popen([need("sshd"), "-D", "-f", config],
                                       stderr=subprocess.DEVNULL)
        ssh = (f"ssh -F none -t -p {port} -i {key} -o StrictHostKeyChecking=no "
               f"-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR 127.0.0.1 'echo far away; cat'")
        return [need("bash", "ssh"), "--norc", "--noprofile", "-c",
                f"until {ssh}; do (exit $?); code=$?; [ $code = 255 ] && [ -e up ] && break; "
                "sleep 0.2; done; echo ssh ended $code; exec cat"]

    def prepare(self, screen):
        screen.wait_for("far away")
        screen.type("abc\r")
        screen.wait_until(lambda text: text.count("abc") == 2, "the cat's answer")
        self.file("up", "")

    def react(self, screen):
        screen.type("\r")
        screen.wait_for("ssh ended 255")
        screen.type("meow\r")
        screen.wait_until(lambda text: text.count("meow") == 2, "the cat's answer")

    def end(self, screen):
        screen.type("\x04")

    def close(self):
        if self.server:
            self.server.kill()
            self.server.wait()


PROGRAMS = {cls.__name__.lower(): cls for cls in
            (Vim, Nvi, Nano, Emacs, Less, Top, Htop, Bash, Python, Ipython, Mc, Dialog, Gdb, Cat,
             Script, Expect, Tmux, GnuScreen, Ssh)}
