"""All ways in at once (TCP, UNIX sockets, LMTP, a proxy) while something goes wrong or is changed."""
import os
import shutil
import signal
import socket
import ssl
import threading
import time

import pytest

import harness

MESSAGE = "Subject: {}\r\n\r\nx\r\n"


SETTINGS = 'trusted_proxies = {"127.0.0.7"}\nworkers = 2\n'
LIMITS = {"connections_rate": 100000, "messages_rate": 100000}


def with_all_ways(made):
    made.configuration.write_text(made.configuration.read_text() + f"""
listen "local" {{ service = submission address = "./smtp.sock" }}
listen "lmtp" {{ service = lmtp address = "./lmtp.sock" }}
listen "proxied" {{ service = smtp address = "127.0.0.1:{made.base + 1}" proxy = true }}
""")
    return made


@pytest.fixture
def server(make_instance):
    with with_all_ways(make_instance(settings=SETTINGS, limits=LIMITS)) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    made = harness.Instance(tmp_path_factory.mktemp("ways") / "i", settings=SETTINGS, limits=LIMITS)
    with with_all_ways(made) as running:
        yield running


def over_tcp(server):
    return harness.connect(server.smtp_port), "EHLO"


def over_unix(server, name="smtp.sock", hello="EHLO"):
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(harness.DEADLINE)
    raw.connect(str(server.directory / name))
    return harness.Talk(raw), hello


def over_lmtp(server):
    return over_unix(server, "lmtp.sock", "LHLO")


def over_proxy(server):
    talk = harness.connect(server.base + 1, source="127.0.0.7")
    talk.send(b"PROXY TCP4 203.0.113.9 192.0.2.25 12345 25\r\n")
    return talk, "EHLO"


WAYS = {"tcp": over_tcp, "unix": over_unix, "lmtp": over_lmtp, "proxy": over_proxy}


def send(server, way, subject):
    talk, hello = WAYS[way](server)
    talk.expect("220")
    talk.command(f"{hello} client.example.org", "250")
    talk.command("MAIL FROM:<joe@[192.0.2.1]>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.command("DATA", "354")
    talk.send(MESSAGE.format(subject).encode() + b".\r\n")
    talk.expect("250")
    talk.command("QUIT", "221")


def subjects(server):
    return sorted(line.split()[1] for path in server.delivered()
                  for line in path.read_text().splitlines() if line.startswith("Subject:"))


def test_reload_after_reload_refuses_nobody_and_loses_nothing(server):
    sent, troubles, stop = [], [], threading.Event()

    def keep_sending(way):
        number = 0
        while not stop.is_set():
            subject = f"{way}-{number}"
            try:
                send(server, way, subject)
                sent.append(subject)
            except (AssertionError, OSError) as trouble:
                troubles.append((subject, trouble))
            number += 1

    threads = [threading.Thread(target=keep_sending, args=(way,)) for way in WAYS]
    for thread in threads:
        thread.start()
    for _ in range(10):
        server.run_command("reload")
        time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()
    assert not troubles, troubles[:5]
    assert {subject.split("-")[0] for subject in sent} == set(WAYS)
    server.wait_queue_empty()
    assert subjects(server) == sorted(sent)


def test_a_worker_that_stands_still_holds_up_no_way_in(server):
    server.deaths_expected = True
    for role in ("smtpd", "submission"):
        os.kill(server.pids(role)[0], signal.SIGSTOP)
    try:
        for number in range(5):
            for way in WAYS:
                send(server, way, f"{way}-{number}")
    finally:
        for role in ("smtpd", "submission"):
            for pid in server.pids(role):
                os.kill(pid, signal.SIGCONT)
    server.wait_queue_empty()
    assert len(subjects(server)) == 5 * len(WAYS)


def test_auth_that_stands_still_or_dies_is_no_concern_of_others(server):
    server.deaths_expected = True
    talk = harness.connect(server.submission_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    pid = server.pids("auth")[0]
    os.kill(pid, signal.SIGSTOP)
    talk.send(b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n")
    for way in WAYS:
        send(server, way, way)
    os.kill(pid, signal.SIGKILL)
    talk.expect("454 4.7.0")

    def logs_in():
        talk.send(b"AUTH PLAIN AGFsaWNlQGV4YW1wbGUudGVzdABzZWNyZXQ=\r\n")
        return talk.reply().startswith("235")
    harness.wait_until(logs_in, "a login at the next auth")


def test_certificates_that_are_gone_serve_on_and_nothing_falls_back_to_plaintext(server):
    context = ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")
    shutil.move(server.directory / "tls", server.directory / "tls-gone")

    def serves():
        raw = socket.create_connection(("127.0.0.1", server.submissions_port), harness.DEADLINE)
        harness.Talk(context.wrap_socket(raw, server_hostname="mx.example.test")).expect("220")
        talk = harness.connect(server.smtp_port)
        talk.expect("220")
        assert "STARTTLS" in talk.command("EHLO client.example.org", "250")
        talk.command("STARTTLS", "220")
        context.wrap_socket(talk.raw, server_hostname="mx.example.test")
    serves()
    assert server.run_command("reload", check=False).returncode != 0
    serves()


@pytest.mark.parametrize("way", list(WAYS))
def test_what_is_said_behind_starttls_in_the_clear_is_not_done(shared, way):
    talk, hello = WAYS[way](shared)
    talk.expect("220")
    talk.command(f"{hello} client.example.org", "250")
    talk.send(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\n")
    talk.expect("503 5.5.1")
    assert talk.closed()


@pytest.mark.parametrize("way", list(WAYS))
def test_what_was_said_before_tls_is_forgotten_behind_it(shared, way):
    context = ssl.create_default_context(cafile=shared.directory / "tls" / "cert.pem")
    talk, hello = WAYS[way](shared)
    talk.expect("220")
    talk.command(f"{hello} before.example.org", "250")
    talk.command("STARTTLS", "220")
    talk = harness.Talk(context.wrap_socket(talk.raw, server_hostname="mx.example.test"))
    talk.command("MAIL FROM:<joe@[192.0.2.1]>", "503 5.5.1")
    talk.command(f"{hello} behind.example.org", "250")
    talk.command("STARTTLS", "503 5.5.1")
