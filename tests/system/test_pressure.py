"""What many clients, idle ones, slow ones and a disk that fills up cost the others."""
import os
import socket
import ssl
import time

import pytest

import harness

SESSIONS = 2000
MOST_KB = {"clear": 12, "tls": 30}
MESSAGE = b"Subject: served\r\n\r\nx\r\n"


def octets_of(pids):
    """Memory that these processes alone hold, shared pages counted by their share."""
    total = 0
    for pid in pids:
        for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii"):
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def idle_session(server, context):
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    if context is not None:
        talk.command("STARTTLS", "220")
        talk = harness.Talk(context.wrap_socket(talk.raw, server_hostname="mx.example.test"))
        talk.command("EHLO client.example.org", "250")
    return talk


@pytest.mark.parametrize("how", ["clear", "tls"])
def test_an_idle_session_costs_little_memory_and_keeps_nobody(make_instance, sanitized, how):
    with make_instance() as server:
        context = ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")
        warm = [idle_session(server, context) for _ in range(20)]
        before = octets_of(server.pids("smtpd"))
        talks = [idle_session(server, context if how == "tls" else None) for _ in range(SESSIONS)]
        each = (octets_of(server.pids("smtpd")) - before) / SESSIONS
        # The sanitizers have memory of their own for each allocation, and keep what is freed.
        most = MOST_KB[how] * (20 if sanitized else 1)
        assert each <= most * 1024, f"{each:.0f} octets a session"
        for _ in range(50):
            server.send(MESSAGE)
        for talk in warm + talks:
            talk.raw.close()


def test_near_the_limit_the_silent_make_room(make_instance):
    with make_instance(settings="workers = 1",
                       limits={"connections_per_worker": 40, "idle_under_stress": 2}) as server:
        few = [idle_session(server, None) for _ in range(20)]
        time.sleep(3)  # far from the limit nobody is in a hurry
        for talk in few:
            talk.command("NOOP", "250")
        many = [idle_session(server, None) for _ in range(20)]
        server.wait_log("event=stress ", "most=40")
        begun = time.monotonic()
        for talk in few + many:
            talk.expect("421 4.4.2")
            assert talk.closed()
        assert time.monotonic() - begun < 10
        server.wait_log("event=stress-over")
        server.send(MESSAGE)


def drips(talk, octets, pause):
    """Sends octet by octet until the server has enough; what it said, and after how long."""
    begun = time.monotonic()
    talk.raw.settimeout(pause)
    heard = b""
    for octet in octets:
        try:
            talk.raw.sendall(bytes([octet]))
            if (more := talk.raw.recv(4096)) == b"":
                break
            heard += more
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            break
    return heard, time.monotonic() - begun


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    limits = {"command_deadline": 3, "idle": 3, "minimum_data_rate": 500}
    with harness.Instance(tmp_path_factory.mktemp("hasty") / "instance", limits=limits) as running:
        yield running


def test_an_octet_now_and_then_does_not_keep_a_command_alive(hasty):
    talk = harness.connect(hasty.smtp_port)
    talk.expect("220")
    heard, elapsed = drips(talk, b"EHLO " + b"x" * 1000, 0.3)
    assert heard.startswith(b"421 4.4.2") and 2 < elapsed < 10


def test_an_octet_now_and_then_does_not_keep_a_message_alive(hasty):
    talk = idle_session(hasty, None)
    talk.command("MAIL FROM:<a@example.org>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.command("DATA", "354")
    heard, elapsed = drips(talk, b"Subject: slow\r\n\r\n" + b"x" * 1000, 0.3)
    assert heard.startswith(b"421 4.4.2") and 2 < elapsed < 10
    hasty.wait_queue_empty()
    assert hasty.delivered() == []


def test_an_octet_now_and_then_does_not_keep_a_chunk_alive(hasty):
    talk = idle_session(hasty, None)
    talk.command("MAIL FROM:<a@example.org>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.send(b"BDAT 1000 LAST\r\n")
    heard, elapsed = drips(talk, b"x" * 1000, 0.3)
    assert heard.startswith(b"421 4.4.2") and 2 < elapsed < 10


def test_who_does_not_listen_is_dropped(hasty):
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", hasty.smtp_port))
    raw.settimeout(0.5)
    begun = time.monotonic()
    sessions = hasty.status()["sessions"]
    try:
        while time.monotonic() - begun < 20:
            raw.sendall(b"HELP\r\n" * 1000)
    except (TimeoutError, ConnectionResetError, BrokenPipeError):
        pass
    harness.wait_until(lambda: hasty.status()["sessions"] < max(sessions, 1), "the session gone", 20)


def test_an_octet_now_and_then_does_not_keep_a_handshake_alive(hasty):
    talk = harness.connect(hasty.submissions_port)
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 500
    heard, elapsed = drips(talk, hello, 0.5)
    assert heard == b"" and 25 < elapsed < 45  # the deadline of the handshake is 30 s
    hasty.wait_log("event=tls-failed", "the handshake takes too long")


@pytest.mark.root  # for mount(8)
def test_a_spool_below_its_floor_takes_no_mail_and_says_so_at_mail(make_instance, mounted):
    server = make_instance(limits={"free_space_percent": 50})
    spool = server.directory / "spool"
    mounted(spool, "size=512m")
    with server:
        server.send(MESSAGE)
        with open(spool / "hog", "wb") as hog:
            hog.write(bytes(300 << 20))
        server.wait_log("event=spool-full")

        def answer():
            talk = idle_session(server, None)
            talk.send(b"MAIL FROM:<a@example.org>\r\n")
            return talk.reply()
        harness.wait_until(lambda: answer().startswith("452 4.3.1"), "no mail is taken")
        os.unlink(spool / "hog")
        harness.wait_until(lambda: answer().startswith("250"), "mail is taken again")
        server.send(MESSAGE)
