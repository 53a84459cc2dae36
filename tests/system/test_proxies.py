"""Clients behind a proxy, and the silence before the greeting."""
import shutil
import socket
import ssl
import struct
import subprocess
import time

import pytest

import harness

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
STRANGER = "203.0.113.9"


def line(client=STRANGER, family="TCP4", server="192.0.2.25"):
    return f"PROXY {family} {client} {server} 12345 25\r\n".encode()


def binary(client=STRANGER, command=1, tlvs=b""):
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    server = "2001:db8::25" if ":" in client else "192.0.2.25"
    rest = (socket.inet_pton(family, client) + socket.inet_pton(family, server) +
            struct.pack(">HH", 12345, 25) + tlvs)
    return (SIGNATURE + bytes([0x20 | command, 0x21 if ":" in client else 0x11]) +
            struct.pack(">H", len(rest)) + rest)


def connect(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), harness.DEADLINE, (source, 0))


def end_of(raw):
    """All octets up to the end, however it comes."""
    octets = b""
    try:
        while more := raw.recv(4096):
            octets += more
    except ConnectionResetError:
        pass
    return octets


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """127.0.0.7 is a proxy at two listeners, in the clear and with TLS; of all others 127.0.0.1 alone
    is trusted, as a client."""
    made = harness.Instance(tmp_path_factory.mktemp("proxies") / "instance",
                            settings='trusted_proxies = {"127.0.0.7"}\n'
                                     'trusted_networks = {"127.0.0.1", "198.51.100.0/24"}\n')
    text = made.configuration.read_text() + f"""
listen "proxied" {{ service = smtp address = "127.0.0.1:{made.base + 1}" proxy = true }}
listen "proxied-tls" {{
    service = submission
    address = "127.0.0.1:{made.base + 2}"
    tls = implicit
    proxy = true
}}
"""
    made.configuration.write_text(text)
    with made as running:
        yield running


def proxied(server, header):
    raw = connect(server.base + 1, "127.0.0.7")
    raw.sendall(header)
    talk = harness.Talk(raw)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    return talk


def letter_through_as(talk, sender, subject="as a user"):
    talk.command(f"MAIL FROM:<{sender}>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.command("DATA", "354")
    talk.send(b"Subject: " + subject.encode() + b"\r\n\r\nx\r\n.\r\n")
    talk.expect("250")
    talk.command("QUIT", "221")


def letter_through(talk, subject):
    letter_through_as(talk, "bob@example.org", subject)


@pytest.mark.parametrize("header, client", [
    (line(), f"[{STRANGER}]"),
    (line("2001:db8::9", "TCP6", "2001:db8::25"), "[IPv6:2001:db8::9]"),
    (binary(), f"[{STRANGER}]"),
    (binary("2001:db8::9"), "[IPv6:2001:db8::9]"),
    (binary(tlvs=b"\x02\x00\x04host" + b"\x04\x07\xd0" + b"-" * 2000), f"[{STRANGER}]"),
], ids=["v1-ipv4", "v1-ipv6", "v2-ipv4", "v2-ipv6", "v2-tlvs"])
def test_the_client_in_the_header_is_the_one_in_received_and_log(server, header, client):
    letter_through(proxied(server, header), "proxied")
    server.wait_queue_empty()
    newest = max(server.delivered(), key=lambda path: path.stat().st_mtime_ns)
    assert f"from client.example.org (unknown {client})" in newest.read_text()
    bare = client.strip("[]").removeprefix("IPv6:")
    quoted = f'client="{bare}" '
    harness.wait_until(lambda: server.log_has("event=message-accepted", f"client={bare} ")
                       or server.log_has("event=message-accepted", quoted), "the log")


def test_the_trust_in_a_proxy_is_none_in_its_clients(server):
    talk = proxied(server, line())
    talk.command("MAIL FROM:<a@example.org>", "250")
    talk.command("RCPT TO:<joe@elsewhere.example>", "554 5.7.1")
    talk = proxied(server, line("198.51.100.3"))
    talk.command("MAIL FROM:<a@example.org>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")


def test_the_header_comes_before_tls(server):
    raw = connect(server.base + 2, "127.0.0.7")
    context = ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")
    raw.sendall(binary())
    talk = harness.Talk(context.wrap_socket(raw, server_hostname="mx.example.test"))
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<alice@example.test>", "530 5.7.0")
    assert server.wait_log("event=tls", f"client={STRANGER}")


def test_the_header_and_the_client_hello_may_come_together(server):
    context = ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")
    raw = connect(server.base + 2, "127.0.0.7")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="mx.example.test")
    early = line()
    greeting = b""
    while not greeting.endswith(b"\r\n"):
        try:
            greeting += tls.read(4096) if tls.version() and not early else b""
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        raw.sendall(early + outgoing.read())
        early = b""
        if not greeting.endswith(b"\r\n"):
            incoming.write(raw.recv(65536))
    assert greeting.startswith(b"220 mx.example.test")


@pytest.mark.parametrize("header", [b"EHLO x\r\n", b"PROXY TCP4 1.2.3.4\r\n", SIGNATURE + b"\x31",
                                    SIGNATURE + b"\x21\x11\xff\xff", b"\x16\x03\x01\x02\x00\x01"],
                         ids=repr)
def test_a_malformed_header_ends_the_connection(server, header):
    before = len(server.log_has("event=refused", "PROXY"))
    raw = connect(server.base + 1, "127.0.0.7")
    raw.sendall(header.ljust(16, b"?") if header.startswith(SIGNATURE) else header)
    assert end_of(raw) == b""
    harness.wait_until(lambda: len(server.log_has("event=refused", "PROXY")) > before, "a log line")


def test_a_stranger_can_not_speak_for_others(server):
    raw = connect(server.base + 1, "127.0.0.8")
    assert end_of(raw) == b""
    assert server.wait_log("event=refused", "client=127.0.0.8", "trusted_proxies")


def test_a_proxy_has_five_seconds(server):
    begun = time.monotonic()
    raw = connect(server.base + 1, "127.0.0.7")
    raw.settimeout(0.5)
    octets = iter(line())
    while True:  # one octet now and then gains nothing
        try:
            raw.sendall(bytes([next(octets)]))
            if raw.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            break
    assert 4 < time.monotonic() - begun < 12
    assert server.wait_log("event=refused", "No PROXY header in time")


def test_clients_of_one_proxy_are_counted_apart(server):
    talks = [proxied(server, line(f"203.0.113.{n}")) for n in range(40)]
    same = [connect(server.base + 1, "127.0.0.7") for _ in range(21)]
    replies = []
    for raw in same:
        raw.sendall(line("203.0.113.200"))
        replies.append(harness.Talk(raw).reply()[:3])
    assert replies == ["220"] * 20 + ["421"]
    for talk in talks:
        talk.command("QUIT", "221")
    for raw in same:
        raw.close()


# ---- XCLIENT ----


def test_xclient_is_announced_to_proxies_and_to_nobody_else(server):
    for source, expected in (("127.0.0.7", True), ("127.0.0.1", False)):
        talk = harness.Talk(connect(server.smtp_port, source))
        talk.expect("220")
        assert ("XCLIENT NAME ADDR" in talk.command("EHLO proxy.example.org", "250")) == expected
        talk.command("XCLIENT ADDR=198.51.100.9", "220" if expected else "550 5.7.0")


def test_a_client_named_by_xclient_is_the_one_in_received_and_log(server):
    talk = harness.Talk(connect(server.smtp_port, "127.0.0.7"))
    talk.expect("220")
    talk.command("EHLO proxy.example.org", "250")
    talk.command("XCLIENT NAME=mail.client.example ADDR=IPV6:2001:db8::77 PROTO=ESMTP", "220")
    talk.command("EHLO client.example.org", "250")
    letter_through(talk, "by xclient")
    server.wait_queue_empty()
    texts = [path.read_text() for path in server.delivered()]
    assert any("from client.example.org (mail.client.example [IPv6:2001:db8::77])" in text
               for text in texts)
    assert server.wait_log("event=proxied", "2001:db8::77", "name=mail.client.example")


def test_a_login_that_the_proxy_vouches_for_counts_as_one(server):
    talk = harness.Talk(connect(server.submission_port, "127.0.0.7"))
    talk.expect("220")
    talk.command("EHLO proxy.example.org", "250")
    talk.command("MAIL FROM:<alice@example.test>", "530 5.7.0")
    talk.command("XCLIENT ADDR=203.0.113.5 LOGIN=alice@example.test", "220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<bob@elsewhere.example>", "553 5.7.1")
    letter_through_as(talk, "alice@example.test")
    server.wait_queue_empty()
    assert any("with ESMTPA id" in path.read_text() for path in server.delivered())
    assert server.wait_log("event=message-accepted", "client=203.0.113.5", "user=alice@example.test")


@pytest.mark.parametrize("options, where, expected", [
    (["--proxy-version", "1", "--proxy-family", "TCP4", "--proxy-source", "203.0.113.31",
      "--proxy-source-port", "1", "--proxy-dest", "192.0.2.25", "--proxy-dest-port", "25"], 1,
     "[203.0.113.31]"),
    (["--proxy-version", "2", "--proxy-family", "AF_INET", "--proxy-protocol", "STREAM",
      "--proxy-command", "PROXY", "--proxy-source", "203.0.113.32", "--proxy-source-port", "1",
      "--proxy-dest", "192.0.2.25", "--proxy-dest-port", "25"], 1, "[203.0.113.32]"),
    (["--xclient", "ADDR=203.0.113.33 NAME=x.client.example"], 25,
     "(x.client.example [203.0.113.33])"),
], ids=["PROXY-v1", "PROXY-v2", "XCLIENT"])
def test_swaks_speaks_for_others(server, options, where, expected):
    assert shutil.which("swaks"), "there is no swaks; `tools/deps test` installs it"
    done = subprocess.run(["swaks", "--server", "127.0.0.1", "--port", str(server.base + where),
                           "--local-interface", "127.0.0.7", "--helo", "swaks.example.org",
                           "--from", "a@example.org", "--to", "alice@example.test", *options],
                          capture_output=True, text=True, timeout=harness.DEADLINE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    server.wait_queue_empty()
    assert any(expected in path.read_text() for path in server.delivered())


# ---- the silence ----


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A server that greets strangers after two seconds."""
    made = harness.Instance(tmp_path_factory.mktemp("patient") / "instance",
                            settings='trusted_networks = {"127.0.0.1"}\ngreet_pause = 2000\n')
    with made as running:
        yield running


def test_who_talks_before_the_greeting_is_sent_away(patient):
    raw = connect(patient.smtp_port, "127.0.0.2")
    raw.sendall(b"EHLO client.example.org\r\nMAIL FROM:<a@example.org>\r\n")
    assert end_of(raw) == b"554 5.5.1 You talk before you are greeted\r\n"
    assert patient.wait_log("event=refused", "client=127.0.0.2", "code=554")


def test_who_waits_is_greeted(patient):
    begun = time.monotonic()
    talk = harness.Talk(connect(patient.smtp_port, "127.0.0.2"))
    talk.expect("220")
    assert time.monotonic() - begun >= 1.9
    talk.command("EHLO client.example.org", "250")
    talk.command("QUIT", "221")


def test_many_who_wait_hold_up_nobody(patient):
    waiting = [connect(patient.smtp_port, f"127.0.1.{n}") for n in range(1, 201)]
    begun = time.monotonic()
    talk = harness.Talk(connect(patient.smtp_port))
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    letter_through(talk, "served meanwhile")
    assert time.monotonic() - begun < 1.5
    for raw in waiting:
        harness.Talk(raw).expect("220")
        raw.close()


def test_submission_and_trusted_networks_do_not_wait(patient):
    for port, source in ((patient.submission_port, "127.0.0.2"), (patient.smtp_port, "127.0.0.1")):
        begun = time.monotonic()
        harness.Talk(connect(port, source)).expect("220")
        assert time.monotonic() - begun < 1.5
