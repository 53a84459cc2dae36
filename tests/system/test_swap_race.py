"""Whoever owns the mail user exchanges parts of a mailbox with links, as fast as the kernel allows,
while mail is delivered and fetched."""
import poplib
import signal
import subprocess
import sys

import pytest

import harness

SECRET = b"Subject: of somebody else\n\nS3CRET\n"
EXCHANGES = 50_000
LETTERS = 30
SESSIONS = 15

# Exchanges two names (renameat2(2), RENAME_EXCHANGE) until it is told to end, an even number of times;
# then says how often.
SWAPPER = """
import ctypes, signal, sys
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
exchange = ctypes.CDLL(None).renameat2
one, other = (name.encode() for name in sys.argv[1:3])
done = 0
print("ready", flush=True)
while not ended or done < int(sys.argv[3]) or done % 2:
    done += exchange(-100, one, -100, other, 2) == 0
print(done)
"""


class Swapper:
    def __init__(self, one, other):
        self.process = subprocess.Popen([sys.executable, "-c", SWAPPER, str(one), str(other),
                                         str(EXCHANGES)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        assert int(self.process.communicate(timeout=harness.DEADLINE)[0]) >= EXCHANGES


def everything(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def fetch(server, delete):
    """What a session sees; most of them fail."""
    seen = b""
    try:
        client = server.pop3()
        for number in range(1, client.stat()[0] + 1):
            try:
                seen += b"\n".join(client.retr(number)[1])
                if delete:
                    client.dele(number)
            except poplib.error_proto:
                pass
        client.quit()
    except (poplib.error_proto, EOFError, OSError):
        pass
    return seen


PARTS = {"domain": "..", "mailbox": ".", "new": "new", "cur": "cur", "tmp": "tmp",
         "message": "new/1.V1.h", "lock": "veredus-pop3.lock"}


@pytest.mark.parametrize("part", sorted(PARTS))
def test_what_is_exchanged_with_a_link_leads_nobody_outside(make_instance, part):
    limits = {"retry_first": 1, "retry_most": 1}
    with make_instance(limits=limits) as server:
        server.send(b"Subject: makes the mailbox\r\n\r\n")
        server.wait_queue_empty()
        server.pop3().quit()
        box = server.maildir()
        (box / "new" / "1.V1.h").write_bytes(b"Subject: put there\n\nours\n")
        # Beneath the mail root: what lies outside of it is guarded by the sandbox, too.
        outside = server.directory / "mail" / "other.test"
        for folder in ("alice/new", "alice/cur", "alice/tmp"):
            (outside / folder).mkdir(parents=True)
            for name in ("1.V1.h", "1600000000.secret,S=34,W=37"):
                (outside / folder / name).write_bytes(SECRET)
        (outside / "alice" / "veredus-pop3.lock").write_bytes(b"")
        before = everything(outside)
        inside = (box / PARTS[part]).resolve()
        link = server.directory / "mail" / "link"
        link.symlink_to((outside / "alice" / PARTS[part]).resolve())
        seen = b""
        with Swapper(inside, link):
            for number in range(LETTERS):
                server.send(b"Subject: letter %d\r\n\r\n" % number)
                if number % (LETTERS // SESSIONS) == 0:
                    seen += fetch(server, delete=part != "message")  # which would end the race
        assert not inside.is_symlink()
        harness.wait_until(lambda: server.status()["delivered"] == LETTERS + 1, "all to be delivered")
        seen += b"".join(server.fetch_all())
        for number in range(LETTERS):
            assert b"Subject: letter %d" % number in seen, "lost"
    assert b"S3CRET" not in seen
    assert everything(outside) == before
