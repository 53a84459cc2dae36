"""Headers that want to cost time, and secrets that want to be logged."""
import time

import pytest

import harness

MESSAGES = {
    "addresses": b"To: a@b.test\r\n" * 500000 + b"\r\n",
    "one-field": b"X: " + b"a" * 10_000_000 + b"\r\n\r\n",
    "folded": b"X: a\r\n" + b" b\r\n" * 1_000_000,
    "no-blank-line": b"Subject: x\r\n" * 100000,
    "space-first": b" x\r\nSubject: y\r\n\r\n",
    "colons": b":\r\n" * 1_000_000,
    "nested": b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (k, k)
                       for k in range(10000)),
    "boundary": b'Content-Type: multipart/mixed; boundary="' + b"b" * 1_000_000 + b'"\r\n\r\n',
    "parameters": b"Content-Type: text/plain" + b";\r\n a*0=b" * 100000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_hostile_header_costs_linear_time_and_arrives_whole(shared_instance, name):
    message = MESSAGES[name]
    before = time.monotonic()
    shared_instance.send(message)
    shared_instance.wait_queue_empty()
    assert time.monotonic() - before < 20
    got = shared_instance.fetch_all(delete=True)
    assert len(got) == 1 and got[0].endswith(message)


def test_a_password_that_is_offered_in_vain_is_not_logged(make_instance):
    with make_instance() as server:
        talk = harness.connect(server.smtp_port)
        talk.expect("220")
        talk.command("EHLO client.example.org", "250")
        talk.command("AUTH PLAIN AGFsaWNlAHMzY3JldA==", "50")
        talk.command("AUTH LOGIN", "50")
        talk.command("YWxpY2U=", "50")
        talk.command("czNjcmV0", "50")
        talk.command("NOOP", "250")
        server.wait_log("event=refused")
        assert not server.log_has("AGFsaWNlAHMzY3JldA") and not server.log_has("czNjcmV0")
