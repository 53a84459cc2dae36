"""Extensions of SMTP from end to end: chunks, addresses beyond ASCII, what senders want to be told."""
import email.message
import ssl
import subprocess

import pytest

import harness
from secure import encrypted, starttls


def greeted(server):
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    return talk


def begin(talk, mail="", rcpt="", sender="alice@example.test", recipient="alice@example.test"):
    talk.command(f"MAIL FROM:<{sender}> {mail}".strip(), "250")
    talk.command(f"RCPT TO:<{recipient}> {rcpt}".strip(), "250")


def send_small(talk):
    talk.command("DATA", "354")
    talk.send(b"Subject: original\r\n\r\nits body\r\n.\r\n")
    talk.expect("250 2.0.0 Ok: queued as")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    instance = harness.Instance(
        tmp_path_factory.mktemp("extensions"),
        settings='relay_domains = {"sink.test"}\nroute "sink.test" { transport = discard }')
    with open(instance.directory / "tables" / "aliases", "a", encoding="ascii") as aliases:
        aliases.write("gone: x@sink.test, nobody-at-all\n")
    instance.run_command("table", "build")
    with instance:
        yield instance


def new_letters(server, before, count):
    """The letters delivered since; exactly so many."""
    server.wait_queue_empty()
    harness.wait_until(lambda: len(server.delivered()) >= len(before) + count, "delivered")
    fresh = [path.read_bytes() for path in server.delivered() if path not in before]
    assert len(fresh) == count, fresh
    return fresh


# ---- BDAT ----


def test_a_large_message_in_chunks_arrives_octet_by_octet(server):
    lines = b"".join(b"%07d %s\r\n" % (n, b"x" * (n % 90)) for n in range(60000))
    message = b"Subject: large\r\n\r\n" + lines
    before = server.delivered()
    talk = greeted(server)
    begin(talk)
    for at in range(0, len(message), 100001):
        piece = message[at:at + 100001]
        talk.send(b"BDAT %d\r\n" % len(piece) + piece)
        talk.expect("250 2.0.0")
    talk.command("BDAT 0 LAST", "250 2.0.0 Ok: queued as")
    (letter,) = new_letters(server, before, 1)
    assert letter.endswith(message.replace(b"\r\n", b"\n"))


def test_connection_lost_within_a_chunk_queues_nothing(server):
    before = server.delivered()
    talk = greeted(server)
    begin(talk)
    talk.send(b"BDAT 10\r\n0123456789BDAT 1000 LAST\r\nhalf")
    talk.expect("250 2.0.0")
    talk.raw.close()
    greeted(server).command("QUIT", "221")
    new_letters(server, before, 0)


def test_close_notify_amid_a_chunk_and_plaintext_behind_it_queue_nothing(server):
    before = server.delivered()
    talk = starttls(server, server.smtp_port)
    begin(talk)
    talk.send(b"BDAT 100 LAST\r\nSubject: half\r\n\r\nhalf")
    try:
        raw = talk.raw.unwrap()
        raw.sendall(b"x" * 100 + b"\r\nQUIT\r\n")
        assert b"250" not in raw.recv(4096)
    except (ssl.SSLError, OSError):
        pass
    greeted(server).command("QUIT", "221")
    new_letters(server, before, 0)


def test_a_binary_message_keeps_every_octet(server):
    message = b"Subject: binary\r\n\r\n" + bytes(range(256)) + b"\n.\n\r\r\n.\r\n"
    before = server.delivered()
    talk = greeted(server)
    begin(talk, mail="BODY=BINARYMIME")
    talk.send(b"BDAT %d LAST\r\n" % len(message) + message)
    talk.expect("250 2.0.0 Ok: queued as")
    (letter,) = new_letters(server, before, 1)
    assert letter.endswith(message)


NET_SMTP = """
use Net::SMTP;
my $smtp = Net::SMTP->new('127.0.0.1', Port => $ARGV[0], Hello => 'client.example.org') or die;
$smtp->mail('alice@example.test', Bits => 'binary') or die;
$smtp->to('alice@example.test') or die;
$smtp->bdat("Subject: perl\\r\\n\\r\\n.\\r\\n") or die $smtp->message;
$smtp->bdatlast("last\\r\\n") or die $smtp->message;
$smtp->quit;
"""


def test_net_smtp_sends_in_chunks(server):
    before = server.delivered()
    done = subprocess.run(["perl", "-e", NET_SMTP, str(server.smtp_port)], check=False,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    (letter,) = new_letters(server, before, 1)
    assert letter.endswith(b"Subject: perl\r\n\r\n.\r\nlast\r\n")


# ---- SMTPUTF8 ----


def test_smtplib_sends_to_an_address_beyond_ascii(make_instance):
    message = email.message.EmailMessage()
    message["From"] = "jörg@bücher.example"
    message["To"] = "grüße@example.test"
    message["Subject"] = "grüße"
    message.set_content("text")
    with make_instance(users=(("grüße@example.test", "secret"),)) as instance:
        with instance.smtp() as client:
            client.send_message(message)
        instance.wait_queue_empty()
        harness.wait_until(lambda: instance.delivered("grüße@example.test"), "delivered")
        (path,) = instance.delivered("grüße@example.test")
        text = path.read_bytes().decode()
        assert text.startswith("Return-Path: <jörg@xn--bcher-kva.example>\n")
        assert "with UTF8SMTP id" in text and "Subject: grüße\n" in text


# ---- REQUIRETLS ----


def test_requiretls_is_offered_under_tls_alone(server):
    talk = greeted(server)
    talk.command("MAIL FROM:<alice@example.test> REQUIRETLS", "555")
    talk.command("STARTTLS", "220")
    talk = encrypted(server, talk.raw)
    assert "REQUIRETLS" in talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<alice@example.test> REQUIRETLS", "250")


# ---- DSN ----


def test_who_said_never_is_not_told(server):
    before = server.delivered()
    talk = greeted(server)
    begin(talk, rcpt="NOTIFY=NEVER", recipient="gone@example.test")
    send_small(talk)
    new_letters(server, before, 0)


def test_a_failure_is_told_under_the_names_that_the_sender_gave(server):
    before = server.delivered()
    talk = greeted(server)
    begin(talk, mail="ENVID=QQ+2B314 RET=FULL", recipient="gone@example.test",
          rcpt="NOTIFY=FAILURE ORCPT=rfc822;joe+2Bold@example.org")
    send_small(talk)
    (letter,) = new_letters(server, before, 1)
    assert b"Subject: Your message could not be delivered\n" in letter
    assert b"5.1.1 user unknown" in letter
    assert b"sent to joe+old@example.org\n" in letter
    assert b"Your name for it: QQ+314\n" in letter
    assert b"its body" in letter


def test_only_the_header_comes_back_unless_all_was_wanted(server):
    before = server.delivered()
    talk = greeted(server)
    begin(talk, mail="RET=HDRS", recipient="gone@example.test")
    send_small(talk)
    (letter,) = new_letters(server, before, 1)
    assert b"Subject: original\n" in letter and b"its body" not in letter


def test_a_delivery_is_told_to_who_asked_for_it(server):
    before = server.delivered()
    talk = greeted(server)
    begin(talk, rcpt="NOTIFY=SUCCESS")
    send_small(talk)
    letters = new_letters(server, before, 2)
    assert any(b"Subject: Your message was delivered\n" in letter for letter in letters)
