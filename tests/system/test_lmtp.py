"""LMTP (RFC 2033) with the client of the standard library, and what it does not do."""
import smtplib
import socket
import ssl

import pytest

import harness

MESSAGE = b"Subject: by lmtp\r\n\r\nx\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = harness.Instance(tmp_path_factory.mktemp("lmtp") / "instance",
                            users=[("alice@example.test", "secret"), ("bob@example.test", "word")],
                            settings='trusted_networks = {"127.0.0.1"}\n')
    text = made.configuration.read_text()
    text += f'listen "lmtp" {{ service = lmtp address = "127.0.0.1:{made.base + 1}" }}\n'
    made.configuration.write_text(text)
    with made as running:
        yield running


def client_of(server):
    return smtplib.LMTP("127.0.0.1", server.base + 1, local_hostname="relay.example.test")


def test_a_message_is_delivered_to_each_recipient_that_was_accepted(server):
    with client_of(server) as client:
        refused = client.sendmail("joe@example.org", ["alice@example.test", "nobody@example.test",
                                                      "bob@example.test"], MESSAGE)
        assert client.getreply()[0] == 250  # the client reads the first of the two replies itself
    assert list(refused) == ["nobody@example.test"] and refused["nobody@example.test"][0] == 550
    server.wait_queue_empty()
    for address in ("alice@example.test", "bob@example.test"):
        texts = [path.read_text() for path in server.delivered(address)]
        assert any("Subject: by lmtp" in text and " with LMTP id " in text for text in texts)


def test_the_reply_to_each_recipient_says_that_the_letter_is_stored(server):
    talk = harness.connect(server.base + 1)
    assert "LMTP" in talk.expect("220")
    talk.command("LHLO relay.example.test", "250")
    talk.command("MAIL FROM:<joe@example.org>", "250")
    for recipient in ("alice", "bob", "alice"):
        talk.command(f"RCPT TO:<{recipient}@example.test>", "250")
    talk.command("DATA", "354")
    talk.send(MESSAGE + b".\r\n")
    ids = [harness.queue_id(talk.expect("250 2.0.0")) for _ in range(3)]
    assert len(set(ids)) == 1
    talk.command("QUIT", "221")
    assert server.wait_log("event=message-accepted", f"id={ids[0]}")


def test_smtp_is_not_spoken_there(server):
    with pytest.raises(smtplib.SMTPHeloError):
        with smtplib.SMTP("127.0.0.1", server.base + 1) as client:
            client.ehlo_or_helo_if_needed()
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("LHLO relay.example.test", "500")


def test_strangers_are_sent_away(server):
    raw = socket.create_connection(("127.0.0.1", server.base + 1), harness.DEADLINE,
                                   ("127.0.0.2", 0))
    talk = harness.Talk(raw)
    talk.expect("554 5.7.1")
    assert talk.closed()


def test_it_has_starttls_as_smtp_has(server):
    context = ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")
    talk = harness.connect(server.base + 1)
    talk.expect("220")
    talk.command("LHLO relay.example.test", "250")
    talk.command("STARTTLS", "220")
    talk = harness.Talk(context.wrap_socket(talk.raw, server_hostname="mx.example.test"))
    talk.command("LHLO relay.example.test", "250")
    talk.command("MAIL FROM:<joe@example.org>", "250")
    talk.command("RCPT TO:<bob@example.test>", "250")
    talk.command("DATA", "354")
    talk.send(b"Subject: secret\r\n\r\nx\r\n.\r\n")
    talk.expect("250")
    server.wait_queue_empty()
    assert any(" with LMTPS id " in path.read_text()
               for path in server.delivered("bob@example.test"))
