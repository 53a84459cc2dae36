"""A table that is damaged is trouble of ours, never an unknown user."""
import os

import pytest

import harness

PAGE = 4096
DAMAGE = {
    "empty": lambda octets: b"",
    "cut-short": lambda octets: octets[:100],
    "one-page": lambda octets: octets[:PAGE],
    "odd-size": lambda octets: octets[:-1],
    "random": lambda octets: os.urandom(len(octets)),
    "zeros": lambda octets: bytes(len(octets)),
    "random-data": lambda octets: octets[:PAGE] + os.urandom(len(octets) - PAGE),
    "zeroed-data": lambda octets: octets[:PAGE] + bytes(len(octets) - PAGE),
    "flipped-data": lambda octets: octets[:-20] + bytes([octets[-20] ^ 1]) + octets[-19:],
    "flipped-head": lambda octets: octets[:100] + bytes([octets[100] ^ 1]) + octets[101:],
}


def rcpt(server):
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<bob@example.org>", "250")
    talk.send(b"RCPT TO:<alice@example.test>\r\n")
    return talk.reply()


def wait_for_reply(server, prefix):
    """What a worker knows of a recipient is dropped a moment after the table changed."""
    harness.wait_until(lambda: rcpt(server).startswith(prefix), prefix)


@pytest.mark.parametrize("damage", sorted(DAMAGE))
def test_a_damaged_table_is_a_temporary_error_and_heals(make_instance, damage):
    with make_instance() as server:
        assert rcpt(server).startswith("250")
        for name in ("users", "passwords"):
            path = server.directory / "tables" / f"{name}.db"
            good = path.read_bytes()
            fresh = path.with_suffix(".fresh")
            fresh.write_bytes(DAMAGE[damage](good))
            os.rename(fresh, path)
            if name == "users":
                wait_for_reply(server, "451 4.3.0")
            else:
                with pytest.raises(Exception, match="SYS/TEMP"):
                    server.pop3()
            fresh.write_bytes(good)
            os.rename(fresh, path)
        wait_for_reply(server, "250")
        server.pop3().quit()
