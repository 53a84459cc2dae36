"""Where the log goes, and that nobody else writes it."""
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading

import pytest

import harness

HOSTILE = [b"EHLO \x1b[2J\"},{\"event\":\"forged\",\"x\":\"\\\r\n", b"EHLO a\xff\xfe\x80\x7f\r\n",
           b"EHLO \\\" event=forged\r\n", b"FOO\t%n%s%n\r\n", b"HELO " + b"z" * 1500 + b"\r\n",
           b"MAIL FROM:<\"a\\\"b\\\\c\"@example.org>\r\n",
           b"RCPT TO:<\"}\x01{\xc3\xa9\"@example.test>\r\n",
           b"RCPT TO:<\"\\\"},{\\\"event=forged\"@example.test>\r\n"]


def be_hostile(server):
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    for octets in HOSTILE:
        talk.send(octets)
        assert talk.reply()
    talk.command("QUIT", "221")
    talk = harness.connect(server.pop3_port)
    talk.expect("+OK")
    talk.command(b"USER \"},{\"event\":\"forged\\\xff\x80", "+OK")
    talk.command(b"PASS \"wrong\"", "-ERR")
    talk.command("QUIT", "+OK")


def test_every_line_of_json_is_an_object_whatever_the_client_says(make_instance):
    with make_instance(settings="log_format = json\nlog_level = debug",
                       limits={"auth_delay_first": 1}) as server:
        be_hostile(server)
        identity = server.send(b"Subject: x\r\n\r\n", sender='"quoted \\" sender"@example.org')
        server.wait_queue_empty()
        server.pop3().quit()
        server.wait_log('"event":"login-failed"')
    events = [json.loads(line) for line in server.log_lines]
    for event in events:
        assert {"time", "level", "process", "pid", "event"} <= set(event)
        assert event["event"] != "forged"
        for value in event.values():
            assert isinstance(value, int) or all(" " <= octet <= "~" for octet in value), event
    assert [e for e in events if e["event"] == "recipient-delivered" and e["id"] == identity]
    [failed] = [e for e in events if e["event"] == "login-failed"]
    assert failed["user"] == '"},{"event":"forged\\x5c\\xff\\x80'


def logfmt(line):
    """{name: value}; fails on a line that is anything else."""
    field = r'[a-z_-]+=(?:"(?:[^"\\]|\\.)*"|[^ ="]*)'
    assert re.fullmatch(f"{field}(?: {field})*", line), line
    return dict(pair.split("=", 1) for pair in re.findall(field, line))


def test_every_line_of_logfmt_has_fields_alone_whatever_the_client_says(make_instance):
    with make_instance(settings="log_level = debug", limits={"auth_delay_first": 1}) as server:
        be_hostile(server)
        server.wait_log("event=login-failed")
    for line in server.log_lines:
        fields = logfmt(line)
        assert {"time", "level", "process", "pid", "event"} <= set(fields)
        assert fields["event"] != "forged"


def test_every_line_about_a_message_carries_its_id(make_instance):
    with make_instance() as server:
        identity = server.send(b"Subject: x\r\n\r\n")
        server.wait_queue_empty()
    told = {logfmt(line)["event"] for line in server.log_lines if f"id={identity}" in line}
    assert {"message-accepted", "recipient-delivered"} <= told, told
    for event in told:
        for line in server.log_has(f" event={event} "):
            assert f"id={identity}" in line


# ---- a file ----


@pytest.fixture
def to_file(make_instance):
    def make():
        server = make_instance(settings='log = "the.log"')
        return server, server.directory / "the.log"
    return make


def test_a_file_gets_every_line_and_standard_error_none(to_file):
    server, path = to_file()
    with server:
        identity = server.send(b"Subject: x\r\n\r\n")
        server.wait_queue_empty()
    text = path.read_text()
    for process in ("master", "smtpd", "qmgr", "deliver", "lookup", "pop3d"):
        assert f"process={process} " in text
    assert f"id={identity}" in text
    assert not server.log_lines
    assert not harness.SANITIZER.search(text) and "event=child-died" not in text
    assert path.stat().st_mode & 0o007 == 0, "names of people are nobody else's business"


@pytest.mark.parametrize("way", ["reload", "sigusr1"])
def test_a_log_that_was_rotated_away_is_begun_anew(to_file, way):
    server, path = to_file()
    old = path.with_name("the.log.1")
    with server:
        first = server.send(b"Subject: first\r\n\r\n")
        server.wait_queue_empty()
        path.rename(old)
        second = server.send(b"Subject: second\r\n\r\n")  # not lost: it goes to the file that moved
        server.wait_queue_empty()
        before = set(server.children())
        if way == "reload":
            server.run_command("reload")
        else:
            server.process.send_signal(signal.SIGUSR1)
        harness.wait_until(path.exists, "a new file")
        harness.wait_until(lambda: not before & set(server.children()), "a new generation")
        third = server.send(b"Subject: third\r\n\r\n")
        server.wait_queue_empty()
    # The last words of the former generation may go to either.
    assert all(f"id={known} " in old.read_text() for known in (first, second))
    assert f"id={third} " in path.read_text() and f"id={third} " not in old.read_text()


# ---- syslog ----


class Syslog:
    """A /dev/log of our own, and a /dev around it for a mount namespace."""

    def __init__(self, directory):
        self.directory = directory
        self.lines = []
        directory.mkdir()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        here = os.getcwd()
        os.chdir(directory)  # names of sockets are short
        self.socket.bind("log")
        os.chdir(here)
        (directory / "log").chmod(0o666)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        while True:
            self.lines.append(self.socket.recv(65536).rstrip(b"\n\0").decode("ascii"))

    def within(self):
        """The beginning of a command that sees this directory as /dev."""
        quoted = shlex.quote(str(self.directory))
        script = "".join(f"touch {quoted}/{name} && mount --bind /dev/{name} {quoted}/{name} && "
                         for name in ("null", "zero", "random", "urandom"))
        return ["unshare", "-m", "sh", "-c", f'{script} mount --rbind {quoted} /dev && exec "$@"', "sh"]


@pytest.mark.root  # for unshare(1)
def test_syslog_gets_every_line_with_its_severity_and_nothing_is_a_format(make_instance, tmp_path):
    syslog = Syslog(tmp_path / "dev")
    server = make_instance(settings="log = syslog", limits={"auth_delay_first": 1})
    server.within = syslog.within()
    with server:
        be_hostile(server)
        identity = server.send(b"Subject: x\r\n\r\n")
        server.wait_queue_empty()
        server.pop3().quit()
        server.run_command("reload")
        harness.wait_until(lambda: [line for line in syslog.lines if "event=reloaded" in line] or
                           sum("event=drain" in line for line in syslog.lines) >= 5, "a reload")
    harness.wait_until(lambda: any("event=stopped" in line for line in syslog.lines), "the last line")
    # LOG_MAIL is facility 2 (RFC 3164 §4.1.1); the severities are those of log.c.
    severities = {"error": 3, "warn": 4, "info": 6}
    for line in syslog.lines:
        match = re.fullmatch(r"<(\d+)>\w{3} [ \d]\d \d\d:\d\d:\d\d (\w+): (time=.*)", line)
        assert match, line
        fields = logfmt(match.group(3))
        assert int(match.group(1)) == 2 * 8 + severities[fields["level"]]
        assert match.group(2) == fields["process"] and fields["event"] != "forged"
    assert [line for line in syslog.lines if f"id={identity}" in line and "recipient-delivered" in line]
    told = {logfmt(line.split(": ", 1)[1])["process"] for line in syslog.lines}
    assert {"master", "smtpd", "qmgr", "deliver", "pop3d", "auth"} <= told
    assert not [line for line in server.log_lines if "event=" in line]


# ---- a reader that stops reading ----


class Unread(harness.Instance):
    """A server whose standard error nobody reads until `read_on` is called."""

    def start(self, stderr=subprocess.PIPE):
        self.process = subprocess.Popen([self.command, "-c", str(self.configuration), "run"],
                                        stdout=subprocess.PIPE, stderr=stderr, text=True,
                                        env=harness.environment(), errors="backslashreplace")
        assert self.process.stdout.readline().strip() == "ready"
        self.reader = threading.Thread(target=lambda: None)
        self.reader.start()
        return self

    def read_on(self, stream=None):
        self.reader = threading.Thread(target=self._read_log,
                                       args=(stream or self.process.stderr,), daemon=True)
        self.reader.start()

    def refuse(self, count):
        """As many lines of the log, and the last answer."""
        with self.smtp() as client:
            client.helo()
            for _ in range(count):
                client.docmd("MAIL FROM:<a@example.org>")
                assert client.docmd("RCPT TO:<" + "nobody" * 8 + "@example.test>")[0] == 550
                client.docmd("RSET")


@pytest.fixture
def unread(tmp_path):
    servers = []

    def make(**options):
        servers.append(Unread(tmp_path / f"instance{len(servers)}",
                              limits={"errors_slow": 10000, "errors_close": 10000}, **options))
        return servers[-1]
    yield make
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            server.kill()


def fill_the_log(server):
    """Refusals until lines are lost."""
    for _ in range(40):
        server.refuse(500)
        if server.status()["log-lost"] > 0:
            return
    raise AssertionError("no line was lost")


def lost_and_said(server):
    return sum(int(line.rsplit("count=", 1)[1]) for line in server.log_has("event=log-lost count="))


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_log_that_nobody_reads_costs_lines_and_not_the_mail(unread, kind):
    server = unread()
    if kind == "pipe":
        server.start()
        stream = server.process.stderr
    else:
        ours, theirs = socket.socketpair()
        server.start(theirs)
        theirs.close()
        stream = ours.makefile("r", errors="backslashreplace")
    fill_the_log(server)
    identity = server.send(b"Subject: all the same\r\n\r\n")
    server.wait_queue_empty()
    assert len(server.fetch_all()) == 1
    server.read_on(stream)

    def said():
        server.refuse(1)  # a loss is said before the next line
        return server.log_has("event=log-lost", "process=smtpd")
    harness.wait_until(said, "what was lost")
    after = server.send(b"Subject: once more\r\n\r\n")
    server.wait_queue_empty()
    server.wait_log("event=recipient-delivered", f"id={after}")
    assert server.stop() == 0
    assert not server.log_has("event=message-accepted", f"id={identity}")
    assert 0 < lost_and_said(server)
    for line in server.log_lines:
        logfmt(line)


def test_sigterm_ends_a_server_whose_log_nobody_reads(unread):
    server = unread().start()
    fill_the_log(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(harness.DEADLINE) == 0


def test_standard_error_of_who_started_it_blocks_as_before(unread):
    """O_NONBLOCK is of an open file description, and that one is shared."""
    server = unread()
    read_end, write_end = os.pipe()
    server.start(write_end)
    assert os.get_blocking(write_end)
    server.read_on(os.fdopen(read_end, "r"))
    os.close(write_end)
    assert server.stop() == 0


def test_smtpd_keeps_its_limit_on_files_though_the_log_is_a_larger_one(to_file):
    server, path = to_file()
    with open(path, "wb") as file:
        file.truncate(1 << 32)
    with server:
        [pid] = server.pids("smtpd")[:1]
        [limit] = [line.split() for line in open(f"/proc/{pid}/limits") if "Max file size" in line]
        assert int(limit[3]) < 1 << 30
        identity = server.send(b"Subject: x\r\n\r\n")
        server.wait_queue_empty()
    with open(path, "rb") as file:
        file.seek(1 << 32)
        text = file.read().decode("ascii")
    assert f"event=message-accepted id={identity}" in re.sub(r" session=\S+", "", text)
    assert not [line for line in text.splitlines() if not line.startswith("time=")]
