"""What the system tests share: a fresh instance in a temporary directory, and ways to talk to it.

An instance is made by `veredus init`, served by `veredus run` on ports that the system said are free,
and stopped by SIGTERM. Its log is read when it ends: a sanitizer's report or the death of a child
that the test did not ask for fails the test.
"""
import functools
import os
import pathlib
import poplib
import random
import re
import signal
import smtplib
import socket
import subprocess
import threading
import time

from dns_server import DnsServer

poplib._MAXLINE = 64 << 20  # the client's own limit; lines of a message have none

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("VEREDUS_BUILD", ROOT / "build" / "asan")).resolve()
PORT_OFFSETS = (25, 110, 465, 587, 995, 1, 2, 3)  # those of init, and some for tests
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer")
LETTER = re.compile(r"event=(message-accepted|recipient-)\S* .*?\bid=(\w+)")
DEADLINE = 60


def wait_until(condition, what, deadline=DEADLINE):
    """Waits until `condition()` is true and returns its value; fails after `deadline` seconds."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline} s: {what}")


def claim_ports():
    """(base, claim): all of init's ports base + offset are free, and no other test gets the same base
    for as long as `claim` stays open.

    No two multiples of 30 have a port in common, whatever their offsets. The claim is a name in the
    abstract UNIX namespace, which the kernel takes back when the process ends.
    """
    while True:
        base = random.randrange(20010, 31980, 30)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0veredus-test-ports-{base}")
            for offset in PORT_OFFSETS:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", base + offset))
            return base, claim
        except OSError:
            claim.close()


@functools.lru_cache
def friendly_dns():
    """Every domain exists and takes mail, nobody has a name: what the DNS is to tests that are about
    something else, so that none depends on the network of the machine."""
    return DnsServer({"*": {"MX": [(10, "mx.example.org")]}})


def environment():
    env = dict(os.environ)
    env["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=0:exitcode=99"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1"
    return env


class Instance:
    """One running server; use as a context manager."""

    def __init__(self, directory, users=(("alice@example.test", "secret"),),
                 domains=("example.test",), settings="", limits=None):
        self.directory = pathlib.Path(directory)
        self.users = list(users)
        self.domains = list(domains)
        self.settings = settings
        self.limits = dict(limits or {})
        self.base, self.claim = claim_ports()
        self.process = None
        self.within = []  # a command that becomes `veredus run`: env(1), unshare(1)
        self.log_lines = []
        self.accepted, self.tried = set(), set()  # ids of letters, as the log has them
        self.deaths_expected = False
        self.init()

    # ---- life ----

    @property
    def command(self):
        return str(BUILD / "veredus")

    @property
    def configuration(self):
        return self.directory / "veredus.conf"

    def run_command(self, *arguments, input=None, check=True):
        """Runs `veredus -c CONF ARGUMENTS`."""
        done = subprocess.run([self.command, "-c", str(self.configuration), *arguments],
                              input=input, capture_output=True, text=True, timeout=DEADLINE,
                              env=environment(), check=False)
        if check:
            assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def init(self):
        arguments = [self.command, "init", str(self.directory), "--hostname", "mx.example.test",
                     "--domain", self.domains[0], "--port-base", str(self.base)]
        for address, password in self.users:
            arguments += ["--user", f"{address}:{password}"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=DEADLINE,
                              env=environment(), check=False)
        assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        text = self.configuration.read_text()
        if len(self.domains) > 1:
            names = ", ".join(f'"{d}"' for d in self.domains)
            text = re.sub(r"(?m)^domains\s*=.*$", "domains = {" + names + "}", text)
        text += "\n" + self.settings + "\n"
        if "dns {" not in self.settings:
            text += f'dns {{ servers = {{"{friendly_dns().address}"}} }}\n'
        if self.limits:
            text += "limits {\n" + "".join(f"    {k} = {v}\n" for k, v in self.limits.items())
            text += "}\n"
        self.configuration.write_text(text)

    def start(self):
        self.process = subprocess.Popen([*self.within, self.command, "-c", str(self.configuration),
                                         "run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=environment(), errors="backslashreplace")
        self.reader = threading.Thread(target=self._read_log, args=(self.process.stderr,),
                                       daemon=True)
        self.reader.start()
        line = self.process.stdout.readline()
        if line.strip() != "ready":
            self.process.kill()
            self.process.wait()
            self.reader.join(5)
            raise AssertionError(f"no ready but {line!r}:\n" + "\n".join(self.log_lines[-40:]))
        return self

    def _read_log(self, stream):
        for line in stream:
            self.log_lines.append(line.rstrip("\n"))
            if letter := LETTER.search(line):
                (self.tried if letter[1] == "recipient-" else self.accepted).add(letter[2])

    def stop(self, deadline=DEADLINE):
        """SIGTERM, then the exit code; checks the log."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("SIGTERM did not end it:\n" + "\n".join(self.log_lines[-40:]))
        self.reader.join(5)
        self.process.stdout.close()
        self.check_log()
        return code

    def kill(self):
        """SIGKILL to master and, when they do not follow by themselves, to its children."""
        children = self.children()
        self.process.kill()
        self.process.wait()
        for pid, _ in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(os.path.exists(f"/proc/{p}") for p, _ in children),
                   "children gone")
        self.accepted.clear()  # what was tried may have been logged in vain

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if self.process is None:
            return
        if kind is None:
            assert self.stop() == 0
        else:
            self.kill()
            print("\n".join(self.log_lines[-60:]))

    # ---- what it says ----

    def check_log(self):
        text = "\n".join(self.log_lines)
        assert not SANITIZER.search(text), text[-8000:]
        if not self.deaths_expected:
            died = [line for line in self.log_lines if "event=child-died" in line]
            assert not died, "\n".join(died + self.log_lines[-30:])

    def log_has(self, *parts):
        return [line for line in list(self.log_lines) if all(p in line for p in parts)]

    def wait_log(self, *parts, deadline=DEADLINE):
        return wait_until(lambda: self.log_has(*parts), f"a log line with {parts}", deadline)

    def status(self):
        """The counters and gauges that `veredus status` prints, as numbers. What it does not know is
        missing: the queue's, from the death of a qmgr until the next one has read the spool."""
        values = {}
        for line in self.run_command("status").stdout.splitlines():
            words = line.split()
            if len(words) == 2 and words[1].isdigit():
                values[words[0]] = int(words[1])
        return values

    def wait_queue_empty(self, deadline=DEADLINE):
        """Waits until it is known that nothing is queued and every letter of the log was tried: qmgr
        hears of a letter a moment after the client does. Three times in a row, since the log comes a
        moment later, too (and may be kept elsewhere), and master hears as late of the death of a qmgr."""
        seen = [0]

        def empty():
            waiting = set() if self.deaths_expected else self.accepted - self.tried
            is_empty = not waiting and self.status().get("queued") == 0
            seen[0] = seen[0] + 1 if is_empty else 0
            time.sleep(0.05)
            return seen[0] >= 3
        return wait_until(empty, "an empty queue", deadline)

    def children(self):
        """[(pid, role)] of master's living children, from /proc."""
        master = self.process.pid
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                stat = (entry / "stat").read_text()
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            name, rest = stat.rsplit(")", 1)
            if int(rest.split()[1]) == master and rest.split()[0] != "Z":
                program = os.path.basename(words[0].decode())
                role = words[1].decode() if len(words) > 1 and words[1] else program
                found.append((int(entry.name), role.replace("veredus-", "")))
        return found

    def pids(self, role):
        return [pid for pid, name in self.children() if name == role]

    # ---- talking to it ----

    @property
    def smtp_port(self):
        return self.base + 25

    @property
    def submission_port(self):
        return self.base + 587

    @property
    def submissions_port(self):
        return self.base + 465

    @property
    def pop3_port(self):
        return self.base + 110

    def smtp(self, **options):
        return smtplib.SMTP("127.0.0.1", self.smtp_port, local_hostname="client.example.org",
                            timeout=DEADLINE, **options)

    def send(self, message, sender="bob@example.org", recipients=("alice@example.test",)):
        """Sends octets (lines end in CRLF already, or as given); returns the queue id."""
        with socket.create_connection(("127.0.0.1", self.smtp_port), DEADLINE) as raw:
            talk = Talk(raw)
            talk.expect("220")
            talk.command("EHLO client.example.org", "250")
            talk.command(f"MAIL FROM:<{sender}>", "250")
            for recipient in recipients:
                talk.command(f"RCPT TO:<{recipient}>", "250")
            talk.command("DATA", "354")
            talk.send(dot_stuff(message) + b".\r\n")
            reply = talk.expect("250")
            talk.command("QUIT", "221")
        return queue_id(reply)

    def pop3(self, user="alice@example.test", password="secret"):
        client = poplib.POP3("127.0.0.1", self.pop3_port, timeout=DEADLINE)
        client.user(user)
        client.pass_(password)
        return client

    def fetch_all(self, user="alice@example.test", password="secret", delete=False):
        """[octets] of every message in the mailbox, lines ending in CRLF."""
        client = self.pop3(user, password)
        count = len(client.list()[1])
        messages = []
        for number in range(1, count + 1):
            lines = client.retr(number)[1]
            messages.append(b"".join(line + b"\r\n" for line in lines))
            if delete:
                client.dele(number)
        client.quit()
        return messages

    def maildir(self, address="alice@example.test"):
        local, domain = address.split("@")
        return self.directory / "mail" / domain / local

    def delivered(self, address="alice@example.test"):
        """The files of new/ and cur/ of a mailbox."""
        box = self.maildir(address)
        return [p for part in ("new", "cur") if (box / part).is_dir()
                for p in sorted((box / part).iterdir())]


class Talk:
    """A plain, line by line conversation over a connected socket."""

    def __init__(self, raw):
        raw.settimeout(DEADLINE)
        self.raw = raw
        self.buffer = b""

    def send(self, octets):
        self.raw.sendall(octets)

    def line(self):
        """One line without CR LF; None at the end of the connection."""
        while b"\n" not in self.buffer:
            try:
                more = self.raw.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("utf-8", "backslashreplace")

    def reply(self):
        """A whole SMTP reply, its lines joined by newlines; "" at the end of the connection."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                return "\n".join(lines)
            lines.append(line)
            if not re.match(r"\d\d\d-", line):
                return "\n".join(lines)

    def expect(self, prefix):
        reply = self.reply()
        assert reply.startswith(prefix), f"expected {prefix!r}, got {reply!r}"
        return reply

    def command(self, line, prefix):
        octets = line if isinstance(line, bytes) else line.encode()
        self.send(octets + b"\r\n")
        return self.expect(prefix)

    def closed(self):
        """True when nothing more comes and the other side has closed."""
        return self.line() is None


def connect(port, source="127.0.0.1"):
    return Talk(socket.create_connection(("127.0.0.1", port), DEADLINE, (source, 0)))


def dot_stuff(message):
    """RFC 5321 §4.5.2, for octets whose lines end in CR LF; a last line without an end gets one."""
    stuffed = re.sub(rb"(?m)^\.", b"..", message) if message else b""
    if stuffed and not stuffed.endswith(b"\r\n"):
        stuffed += b"\r\n"
    return stuffed


def queue_id(reply):
    match = re.search(r"queued as ([0-9A-Z]+)", reply)
    assert match, reply
    return match.group(1)


TRACE = re.compile(rb"Return-Path: [^\r\n]*\r?\nDelivered-To: [^\r\n]*\r?\n"
                   rb"Received: [^\r\n]*\r?\n(?:\t[^\r\n]*\r?\n)*?"
                   rb"\t\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r?\n")


def without_trace(message):
    """The message without the fields that delivery puts before it: Return-Path, Delivered-To and our
    Received, which ends with its date. A message may begin with a blank: that is its own."""
    match = TRACE.match(message)
    assert match, message[:400]
    return message[match.end():]
