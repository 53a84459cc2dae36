"""Plays every golden dialogue of this folder against the real daemons. Format: README.md."""
import pathlib
import re

import pytest

import harness
import secure
from dns_server import DnsServer, mx

FOLDER = pathlib.Path(__file__).resolve().parent


def sized_message(octets):
    """A message of exactly `octets` octets once its line ends are CR LF; as lines ended by LF."""
    head = "Subject: sized\n\n"
    left = octets - len(head) - head.count("\n")
    lines = []
    while left > 0:
        size = left if left <= 70 else min(60, left - 3)
        lines.append("x" * (size - 2))
        left -= size
    return (head + "".join(line + "\n" for line in lines)).encode()


FAULTS = ("servfail", "refused", "silent")


def add_record(zone, text):
    """"NAME TYPE DATA", or "NAME FAULT"; "MX ." is the null MX."""
    name, kind, *data = text.split(" ", 2)
    if kind in FAULTS:
        zone[name] = kind
        return
    value = data[0]
    if kind == "MX":
        value = mx(0) if value == "." else (int(value.split()[0]), value.split()[1])
    zone.setdefault(name, {}).setdefault(kind, []).append(value)


class Player:
    def __init__(self, path, make_instance):
        self.path = path
        self.lines = [line.rstrip("\n") for line in path.read_text().splitlines()]
        self.given = {"domain": "example.test", "service": "smtp", "from": "127.0.0.1"}
        self.users, self.settings, self.octets = [], [], []
        self.zone, self.tables = {}, {}
        self.steps = []
        self.parse()
        users = self.users or [("alice@example.test", "secret")]
        self.dns = DnsServer(self.zone)
        self.settings.append(f'dns {{ servers = {{"{self.dns.address}"}} timeout = 1 tries = 1 }}')
        self.instance = make_instance(users=users, domains=(self.given["domain"],),
                                      settings="\n".join(self.settings))
        if "listen" in self.given:
            text = self.instance.configuration.read_text()
            self.instance.configuration.write_text(
                f'{text}\nlisten "extra" {{ address = "127.0.0.1:{self.instance.base + 1}" '
                f'{self.given["listen"]} }}\n')
        self.talk = None

    def parse(self):
        for number, line in enumerate(self.lines, 1):
            word, _, rest = line.partition(" ")
            if not line or line.startswith("#"):
                continue
            if word in ("service:", "domain:", "from:", "listen:"):
                self.given[word[:-1]] = rest.strip()
            elif word == "user:":
                self.users.append(tuple(rest.split()))
            elif word == "setting:":
                self.settings.append(rest)
            elif word == "dns:":
                add_record(self.zone, rest)
            elif word == "table:":
                name, line = rest.split(" ", 1)
                self.tables.setdefault(name, []).append(line)
            elif word == "octets:":
                self.octets.append(rest.split())
            else:
                assert word in ("C:", "C>", "S:", "S+", "S*", "S!", "connect", "tls", "wait:",
                                "file:", "log:"), f"{self.path}:{number}: {line}"
                self.steps.append((number, word, rest))
        assert any(word.startswith("S") for _, word, _ in self.steps), "a transcript that asks nothing"

    def fill_mailboxes(self):
        stamp = 1600000000
        for address, *sizes in self.octets:
            new = self.instance.maildir(address) / "new"
            for part in ("tmp", "new", "cur"):
                (new.parent / part).mkdir(parents=True, exist_ok=True)
            for size in sizes:
                count, _, octets = size.rpartition("*")
                for _ in range(int(count or 1)):
                    stamp += 1
                    (new / f"{stamp}.V{stamp}.mx.example.test").write_bytes(
                        sized_message(int(octets)))

    def build_tables(self):
        for name, lines in self.tables.items():
            (self.instance.directory / "tables" / name).write_text("".join(line + "\n" for line in lines))
            self.instance.run_command("table", "build", name)

    def connect(self, source):
        port = {"pop3": "pop3_port", "submission": "submission_port"}.get(self.given["service"],
                                                                          "smtp_port")
        self.talk = harness.connect(self.instance.base + 1 if "listen" in self.given
                                    else getattr(self.instance, port), source=source)

    def expect_line(self, pattern):
        line = self.talk.line()
        regex = ".*".join(re.escape(part) for part in pattern.split("..."))
        assert line is not None, f"closed; expected {pattern!r}"
        assert re.fullmatch(regex, line), f"got {line!r}; expected {pattern!r}"

    def step(self, word, rest):
        if word == "connect":
            self.connect(rest or self.given["from"])
        elif word == "tls":
            self.talk = secure.encrypted(self.instance, self.talk.raw)
        elif word == "log:":
            self.instance.wait_log(rest)
        elif word == "C:":
            self.talk.send(rest.encode() + b"\r\n")
        elif word == "C>":
            self.talk.send(rest.encode().decode("unicode_escape").encode("latin-1"))
        elif word == "S:":
            self.expect_line(rest)
        elif word == "S+":
            self.talk.expect(rest.strip())
        elif word == "S*":
            while self.talk.line() != ".":
                pass
        elif word == "S!":
            assert self.talk.closed()
        elif word == "wait:":
            address, count = rest.split()
            harness.wait_until(lambda: len(self.instance.delivered(address)) == int(count), rest)
        elif word == "file:":
            address, text = rest.split(" ", 1)
            texts = [p.read_bytes() for p in self.instance.delivered(address)]
            assert any(text.encode() in t for t in texts), (text, texts)

    def play(self):
        self.fill_mailboxes()
        self.build_tables()
        with self.dns, self.instance:
            self.connect(self.given["from"])
            for number, word, rest in self.steps:
                try:
                    self.step(word, rest)
                except AssertionError as error:
                    raise AssertionError(f"{self.path.name}:{number}: {error}") from error


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda p: p.stem)
def test_dialogue(path, make_instance):
    Player(path, make_instance).play()
