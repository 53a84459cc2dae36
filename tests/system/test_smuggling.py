"""One message comes in, one message arrives: every spelling of the end of data, cut at every octet.

A server before us may have passed on what we take for an end (or the other way round): behind it lie
commands that somebody else chose. Each piece is sent when the one before it was read.
"""
import socket

import pytest

import harness
import secure

COMMANDS = (b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
            b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
# A bare CR or LF: refused, and the session is over.
BARE = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\rX", b"\r\r\n.\r\r\n",
        b"\n\r.\r\n", b"\r\n\r.\r\n", b"\r\n.\r\r\n", b"\n\n.\n\n", b"\r\n\n.\r\n", b"\n.\r", b"\r\n\n.\n"]
# Lines like others.
TEXT = [b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\n\0.\0\r\n", b"\r\n. \r\n", b"\r\n .\r\n", b"\r\n\t.\r\n",
        b"\r\n..\r\n", b"\r\n.x\r\n", b"\r\n\xe3\x80\x82\r\n", b"\r\n\xff.\r\n", b"\r\n\x85.\x85\r\n",
        b"\r\n\x1a.\r\n", b"\r\n\b.\r\n", b"\r\n\xef\xbb\xbf.\r\n"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = harness.Instance(tmp_path_factory.mktemp("smuggling") / "instance",
                            limits={"errors_close": 1000})
    with made as running:
        yield running


def is_read(raw):
    """True when the server has taken everything that was sent: from the kernel's table of sockets."""
    own, server = (f":{raw.getsockname()[1]:04X}", f":{raw.getpeername()[1]:04X}")
    for line in open("/proc/net/tcp", encoding="ascii"):
        words = line.split()
        if words[1].endswith(server) and words[2].endswith(own):
            return words[4].endswith(":00000000")
        if words[1].endswith(own) and words[2].endswith(server) and words[4][:8] != "00000000":
            return False
    return True  # closed


def reach_data(server, tls):
    talk = secure.starttls(server, server.smtp_port) if tls else secure.greeted(server.smtp_port)
    talk.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    talk.command("MAIL FROM:<bob@example.org>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.command("DATA", "354")
    return talk


def send_cut(talk, octets, cut):
    try:
        talk.send(octets[:cut])
        harness.wait_until(lambda: is_read(talk.raw), "that it was read")
        talk.send(octets[cut:])
    except (BrokenPipeError, ConnectionResetError, secure.ssl.SSLError):
        pass


def replies(talk):
    """The codes of all replies until the end."""
    codes = []
    try:
        while (line := talk.line()) is not None:
            codes.append(line[:3])
    except (OSError, secure.ssl.SSLError):
        pass
    return codes


def arrived(server):
    """The messages in the mailbox, which is emptied."""
    server.wait_queue_empty()
    texts = []
    for path in server.delivered():
        texts.append(harness.without_trace(path.read_bytes()))
        path.unlink()
    return texts


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("variant", BARE, ids=repr)
def test_a_bare_octet_is_no_end_and_nothing_behind_it_is_served(server, variant, tls):
    for cut in range(len(variant) + 1):
        talk = reach_data(server, tls)
        head = b"Subject: one\r\n\r\nfirst"
        send_cut(talk, head + variant + COMMANDS + b"QUIT\r\n", len(head) + cut)
        assert replies(talk) in (["550"], []), (variant, cut)
    server.send(b"Subject: honest\r\n\r\nhonest\r\n")
    assert arrived(server) == [b"Subject: honest\n\nhonest\n"]


@pytest.mark.parametrize("variant", TEXT, ids=repr)
def test_a_line_that_looks_like_the_end_is_text(server, variant):
    for cut in range(len(variant) + 1):
        talk = reach_data(server, False)
        head = b"Subject: one\r\n\r\nfirst"
        send_cut(talk, head + variant + COMMANDS.replace(b"\r\n.\r\n", b"\r\n") + b".\r\nQUIT\r\n",
                 len(head) + cut)
        assert replies(talk) == ["250", "221"], (variant, cut)
    texts = arrived(server)
    assert len(texts) == len(variant) + 1 and len(set(texts)) == 1
    assert b"\nMAIL FROM:<evil@example.org>\n" in texts[0] and texts[0].endswith(b"\nsmuggled\n")


@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_the_one_end_ends_one_message_however_it_is_cut(server, tls):
    octets = b"Subject: one\r\n\r\nfirst\r\n.\r\nNOOP\r\nQUIT\r\n"
    cuts = range(octets.index(b"first"), len(octets))
    for cut in cuts:
        talk = reach_data(server, tls)
        send_cut(talk, octets, cut)
        assert replies(talk) == ["250", "250", "221"], cut
    assert arrived(server) == [b"Subject: one\n\nfirst\n"] * len(cuts)


def test_commands_behind_the_one_end_are_a_message_of_their_own(server):
    """That is pipelining: the client ended its message itself (RFC 2920 §3.1)."""
    talk = reach_data(server, False)
    talk.send(b"Subject: one\r\n\r\nfirst\r\n.\r\nMAIL FROM:<bob@example.org>\r\n"
              b"RCPT TO:<alice@example.test>\r\nDATA\r\n")
    for code in ("250", "250", "250", "354"):
        talk.expect(code)
    talk.send(b"Subject: two\r\n\r\nsecond\r\n.\r\nQUIT\r\n")
    assert replies(talk) == ["250", "221"]
    assert sorted(arrived(server)) == [b"Subject: one\n\nfirst\n", b"Subject: two\n\nsecond\n"]


def test_an_end_within_a_chunk_is_text(server):
    """RFC 3030 §2: a chunk ends with its last octet and nowhere before."""
    body = b"Subject: one\r\n\r\nfirst\r\n.\r\n" + COMMANDS.replace(b"\r\n.\r\n", b"\r\n")
    for cut in range(body.index(b"\r\n."), body.index(b"\r\n.") + 6):
        talk = secure.greeted(server.smtp_port)
        talk.command("MAIL FROM:<bob@example.org>", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.send(b"BDAT %d\r\n" % cut + body[:cut])
        talk.expect("250")
        send_cut(talk, b"BDAT %d LAST\r\n" % (len(body) - cut) + body[cut:] + b"QUIT\r\n", 20)
        assert replies(talk) == ["250", "221"], cut
    assert set(arrived(server)) == {body.replace(b"\r\n", b"\n")}


@pytest.mark.parametrize("count", [1, 4095, 4096, 65534, 65535, 65536, 262144])
def test_buffers_end_where_they_like(server, count):
    """The end, and what is none, across the edges of reads and of the session's buffer."""
    for octets, codes in ((b"\r\n.\r\n", ["250", "221"]), (b"\n.\r\n", ["550"])):
        talk = reach_data(server, False)
        send_cut(talk, b"x" * count + octets + b"QUIT\r\n", count + 1)
        assert replies(talk) in (codes, [] if codes == ["550"] else codes)
    texts = arrived(server)
    assert [len(text) for text in texts] == [count + 1]
