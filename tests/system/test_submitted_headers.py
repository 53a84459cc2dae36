"""What submission does to headers, end to end (RFC 6409 §8): nothing but what is promised."""
import re

import pytest

import harness
import secure
from secure import ALICE

SENDER = b"Sender: alice@example.test\n"
GIVEN = b"Date: d\r\nMessage-ID: <i@x.test>\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with harness.Instance(tmp_path_factory.mktemp("headers") / "instance") as running:
        yield running


def submit(server, message, login=True, chunks=None):
    """Sends from alice to alice; the letter as it lies in the mailbox, without our trace."""
    talk = secure.starttls(server)
    if login:
        secure.log_in(talk)
    talk.command(f"MAIL FROM:<{ALICE}>", "250")
    talk.command(f"RCPT TO:<{ALICE}>", "250")
    if chunks is None:
        talk.command("DATA", "354")
        talk.send(harness.dot_stuff(message) + b".\r\n")
        talk.expect("250 2.0.0 Ok: queued")
    else:
        for start in range(0, len(message), chunks):
            piece = message[start:start + chunks]
            last = b" LAST" if start + chunks >= len(message) else b""
            talk.send(b"BDAT %d%s\r\n" % (len(piece), last) + piece)
            talk.expect("250")
    server.wait_queue_empty()
    path, = server.delivered()
    text = harness.without_trace(path.read_bytes())
    path.unlink()
    return text


@pytest.mark.parametrize("before, after", [
    (b"From: alice@example.test\r\n" + GIVEN + b"\r\nbody\r\n", None),
    (b"From: =?utf-8?q?A?= <ALICE@example.test> (me)\r\n" + GIVEN + b"\r\n\xff\x80\r\n", None),
    (b"From: boss@example.test\r\n" + GIVEN + b"\r\nbody\r\n",
     b"From: boss@example.test\n" + GIVEN.replace(b"\r", b"") + SENDER + b"\nbody\n"),
    (GIVEN + b"Sender: boss@example.test\r\n (folded)\r\nFrom: g: a@b.test,\r\n c@d.test;\r\n\r\n",
     GIVEN.replace(b"\r", b"") + b"From: g: a@b.test,\n c@d.test;\n" + SENDER + b"\n"),
    (GIVEN + b"sender : x\r\nFROM: boss@example.test <alice@example.test>\r\n\r\nSender: body\r\n",
     GIVEN.replace(b"\r", b"") + b"FROM: boss@example.test <alice@example.test>\n" + SENDER +
     b"\nSender: body\n"),
    (GIVEN + b"\xe5\x9c\x8b: x\r\nFrom: \xe5\x9c\x8b <a@b.test>\r\n\r\n",
     GIVEN.replace(b"\r", b"") + SENDER + b"\xe5\x9c\x8b: x\nFrom: \xe5\x9c\x8b <a@b.test>\n\n"),
], ids=["as it was", "eight bits", "another", "group", "two addresses", "no field"])
@pytest.mark.parametrize("chunks", [None, 7, 100000], ids=["DATA", "BDAT 7", "BDAT"])
def test_a_header_leaves_as_promised(server, before, after, chunks):
    assert submit(server, before, chunks=chunks) == (after or before.replace(b"\r\n", b"\n"))


def test_what_is_missing_is_added(server):
    text = submit(server, b"From: alice@example.test\r\nSubject: x\r\n\r\nbody\r\n")
    assert re.fullmatch(rb"From: alice@example\.test\nSubject: x\n"
                        rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\n"
                        rb"Message-ID: <[0-9a-f]+\.[0-9A-Z]+@mx\.example\.test>\n\nbody\n", text), text


def test_a_trusted_client_without_a_login_is_not_named(server):
    text = submit(server, b"From: boss@example.test\r\nSender: x\r\n\r\n", login=False)
    assert text.startswith(b"From: boss@example.test\nSender: x\nDate: ") and SENDER not in text


def test_port_25_changes_nothing(server):
    server.send(b"From: boss@example.test\r\nSender: x\r\n\r\n")
    server.wait_queue_empty()
    path, = server.delivered()
    text = harness.without_trace(path.read_bytes())
    path.unlink()
    assert text == b"From: boss@example.test\nSender: x\n\n"


@pytest.mark.parametrize("field, kept", [(b"From: eve@example.org\r\n", True),
                                         (b"Sender: eve@example.org\r\n", False)])
def test_half_a_million_fields_pass_in_flat_memory(server, field, kept, sanitized):
    def resident():
        return max(int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
                   for pid in server.pids("submission"))
    before = resident()
    text = submit(server, GIVEN + field * 500000)
    assert text.endswith(SENDER) and text.count(b"Sender: ") == 1
    assert text.count(b"\n") == (500003 if kept else 3)
    assert resident() - before < (65536 if sanitized else 8192)


def test_one_field_of_ten_megabytes_passes(server):
    value = b"From: eve@example.org,\r\n" + b" x@y.test,\r\n" * 800000
    text = submit(server, GIVEN + value + b"\r\nbody\r\n")
    assert text == (GIVEN + value).replace(b"\r", b"") + SENDER + b"\nbody\n"
