"""Whoever breaks into a process later finds no password of earlier clients in its memory."""
import base64
import secrets
import smtplib
import ssl

import harness
import pytest

pytestmark = pytest.mark.root  # to look into other processes

CHUNK_MOST = 64 << 20  # larger mappings are reserved and not used: those of a sanitizer


def memory_holds(pid, text):
    """True when the writable memory of a process holds the octets."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            ends, rights = line.split()[:2]
            first, last = (int(end, 16) for end in ends.split("-"))
            if not rights.startswith("rw") or last - first > CHUNK_MOST:
                continue
            memory.seek(first)
            if text in memory.read(last - first):
                return True
    return False


def plain(password):
    return base64.b64encode(b"\0alice@example.test\0" + password)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with harness.Instance(tmp_path_factory.mktemp("memory") / "instance",
                          limits={"auth_delay_most": 1}) as running:
        yield running


@pytest.mark.parametrize("split", [False, True], ids=["at-once", "in-two-pieces"])
@pytest.mark.parametrize("first", [b"AUTH PLAIN ", b""], ids=["initial-response", "answer"])
def test_no_process_keeps_what_was_said_in_auth(server, first, split):
    context = ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")
    password = secrets.token_hex(24).encode()
    line = first + plain(password) + b"\r\n"
    with smtplib.SMTP_SSL("localhost", server.submissions_port, context=context,
                          timeout=60) as client:
        client.ehlo()
        if not first:
            assert client.docmd("AUTH PLAIN")[0] == 334
        if split:
            client.send(line[:-8])
            # The server has it when another client, at the same worker or not, was answered.
            server.smtp().quit()
            line = line[-8:]
        client.send(line)
        assert client.getreply()[0] == 535
    encoded = plain(password)[-48:-16]
    for role in ("submission", "auth"):
        for pid in server.pids(role):
            assert not memory_holds(pid, password)
            assert not memory_holds(pid, encoded)


@pytest.mark.parametrize("cut", [0, 2, -1], ids=["at-once", "end-apart", "amid"])
def test_no_process_keeps_a_password_of_pop3(server, cut):
    password = secrets.token_hex(24).encode()
    line = b"PASS " + password + b"\r\n"
    # What comes behind the first piece is more than the buffer that keeps it has room for.
    first, rest = line[:cut - 2 if cut < 0 else len(line) - cut], b"NOOP\r\n" * 200
    talk = harness.connect(server.pop3_port)
    talk.expect("+OK")
    talk.command("USER alice@example.test", "+OK")
    talk.send(first)
    for _ in range(8):  # the server has it when other clients, at whichever worker, were answered
        harness.connect(server.pop3_port).expect("+OK")
    talk.send(line[len(first):] + rest)
    talk.expect("-ERR [AUTH]")
    for role in ("pop3d", "auth"):
        for pid in server.pids(role):
            assert not memory_holds(pid, password[16:44])
