"""TLS of port 25 and of submission: what is spoken, what is refused, what outlives a reload."""
import base64
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

import harness
import secure


@pytest.fixture(scope="module")
def server(shared_instance):
    return shared_instance


def s_client(port, *options, input=b"QUIT\r\n", wait=None):
    """What openssl s_client prints; its input is kept open until `wait` was printed."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-crlf", *options]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    printed = b""
    if wait:
        while not re.search(wait, printed):
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                break
            printed += more
    try:
        rest, _ = process.communicate(input, timeout=harness.DEADLINE)
    finally:
        process.kill()
    return (printed + rest).decode("utf-8", "replace")


def pinned(server, version):
    context = secure.trusting(server)
    context.minimum_version = context.maximum_version = version
    return context


def make_certificate(directory, name, kind="ec"):
    """(certificate, key) for `name`, signed by itself."""
    key = ["-newkey", "rsa:2048"] if kind == "rsa" else ["-newkey", "ec", "-pkeyopt",
                                                         "ec_paramgen_curve:prime256v1"]
    paths = [directory / f"{name}.{kind}.{part}" for part in ("cert", "key")]
    done = subprocess.run(["openssl", "req", "-x509", *key, "-nodes", "-days", "30", "-subj",
                           f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-out", paths[0],
                           "-keyout", paths[1]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    paths[1].chmod(0o600)
    return paths


def certificate_names(talk):
    return re.findall(rb'CN ?= ?"?([A-Za-z.]+)', subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-subject"],
        input=talk.raw.getpeercert(True), capture_output=True, check=True).stdout)


# ---- what is spoken ----


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=lambda v: v.name)
@pytest.mark.parametrize("way", ["port 25", "port 587", "port 465"])
def test_both_versions_are_spoken_at_every_port(server, version, way):
    context = pinned(server, version)
    if way == "port 465":
        talk = secure.connect_implicit(server, context)
        talk.expect("220 mx.example.test ESMTP")
    else:
        port = server.smtp_port if way == "port 25" else server.submission_port
        talk = secure.starttls(server, port, context)
    assert talk.raw.version() == version.name.replace("_", ".")
    assert talk.raw.cipher()[2] >= 128
    talk.command("EHLO client.example.org", "250")


@pytest.mark.parametrize("option", ["-tls1", "-tls1_1"])
def test_older_versions_are_refused(server, option):
    said = s_client(server.submissions_port, option, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in said and "220 mx" not in said, said


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES256-GCM-SHA384", "aNULL", "eNULL", "RC4"])
def test_ciphers_without_forward_secrecy_or_authentication_are_refused(server, ciphers):
    said = s_client(server.submissions_port, "-tls1_2", "-cipher", ciphers + ":@SECLEVEL=0")
    assert "220 mx" not in said, said


def test_renegotiation_is_refused(server):
    said = s_client(server.submissions_port, "-tls1_2", input=b"R\n", wait=rb"220 mx")
    assert "RENEGOTIATING" in said and "no renegotiation" in said, said[-800:]


def test_early_data_is_refused(server, tmp_path):
    session, early = tmp_path / "session", tmp_path / "early"
    early.write_bytes(b"EHLO early.example.org\r\n")
    said = s_client(server.submissions_port, "-tls1_3", "-sess_out", str(session), wait=rb"220 mx")
    assert session.exists()
    said = s_client(server.submissions_port, "-tls1_3", "-sess_in", str(session), "-early_data",
                    str(early), wait=rb"220 mx")
    assert "Early data was rejected" in said or "Early data was not sent" in said, said
    assert "early.example.org" not in "".join(server.log_lines)


@pytest.mark.parametrize("offered, chosen", [
    ("smtp", "smtp"), ("h2,smtp", "smtp"), ("h2", None), ("http/1.1", None), ("imap,pop3", None)])
def test_a_client_of_another_protocol_is_refused(server, offered, chosen):
    said = s_client(server.submissions_port, "-alpn", offered, wait=rb"220 mx|alert")
    if chosen:
        assert f"ALPN protocol: {chosen}" in said
    else:
        assert "alert no application protocol" in said and "220 mx" not in said


def test_a_client_without_alpn_is_welcome(server):
    assert secure.starttls(server).raw.selected_alpn_protocol() is None


# ---- STARTTLS ----


def test_it_is_offered_in_the_clear_alone(server):
    for port in (server.smtp_port, server.submission_port):
        assert "STARTTLS" in secure.greeted(port).capabilities
        talk = secure.starttls(server, port)
        assert "STARTTLS" not in talk.capabilities
        talk.command("STARTTLS", "503 5.5.1")
        talk.command("NOOP", "250")


def test_starttls_with_an_argument_is_501(server):
    talk = secure.greeted(server.smtp_port)
    talk.command("STARTTLS now", "501 5.5.4")
    talk.command("STARTTLS", "220")


def test_starttls_amid_a_transaction_is_503(server):
    talk = secure.greeted(server.smtp_port)
    talk.command("MAIL FROM:<bob@example.org>", "250")
    talk.command("STARTTLS", "503 5.5.1")


@pytest.mark.parametrize("injected", [
    b"RSET\r\n", b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n",
    b"EHLO evil.example.org\r\n", b"\r\n", b"X"])
@pytest.mark.parametrize("port", ["smtp_port", "submission_port"])
def test_what_is_sent_behind_starttls_in_one_piece_ends_the_session(server, port, injected):
    """CVE-2011-0411: commands of somebody in the middle, served as if they came under TLS."""
    talk = secure.greeted(getattr(server, port))
    talk.send(b"STARTTLS\r\n" + injected)
    talk.expect("503 5.5.1")
    assert talk.closed()


def test_what_is_sent_in_the_clear_behind_220_is_no_command(server):
    talk = secure.greeted(server.smtp_port)
    talk.command("STARTTLS", "220")
    talk.send(b"RSET\r\nQUIT\r\n")
    octets = b""
    try:
        while more := talk.raw.recv(4096):
            octets += more
    except ConnectionResetError:
        pass
    assert b"250" not in octets and b"221" not in octets, octets
    server.wait_log("event=tls-failed")


def test_nothing_is_remembered_over_starttls(server):
    """RFC 3207 §4.2: EHLO has to come again."""
    clear = secure.greeted(server.smtp_port)
    clear.command("STARTTLS", "220")
    talk = secure.encrypted(server, clear.raw)
    talk.command("MAIL FROM:<bob@example.org>", "503 5.5.1")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<bob@example.org>", "250")


def test_there_is_no_second_greeting(server):
    talk = secure.starttls(server, server.smtp_port)
    assert talk.command("NOOP", "250 2.0.0")


def test_starttls_is_not_offered_where_the_listener_says_none(make_instance):
    instance = make_instance()
    text = instance.configuration.read_text()
    assert re.search(r'service = smtp\b', text)
    instance.configuration.write_text(re.sub(r"(service = smtp\b)", r"\1 tls = none", text))
    with instance:
        talk = secure.greeted(instance.smtp_port)
        assert "STARTTLS" not in talk.capabilities
        talk.command("STARTTLS", "502 5.5.1")
        secure.starttls(instance)


# ---- other octets than expected ----


@pytest.mark.parametrize("octets", [b"EHLO client.example.org\r\n", b"GET / HTTP/1.0\r\n\r\n",
                                    b"\x80\x2e\x01\x03\x01", b"\0" * 64, b"\x16\x03\x01\xff\xff"])
def test_what_is_no_handshake_gets_no_word_of_smtp(server, octets):
    talk = harness.connect(server.submissions_port)
    talk.send(octets)
    talk.raw.shutdown(socket.SHUT_WR)
    heard = b""
    try:
        while more := talk.raw.recv(4096):
            heard += more
    except ConnectionResetError:
        pass
    assert b"220" not in heard and b"mx.example" not in heard, heard


def test_a_handshake_that_stalls_does_not_delay_the_end(make_instance):
    with make_instance() as instance:
        stalled = [harness.connect(instance.submissions_port)]
        stalled.append(harness.connect(instance.smtp_port))
        stalled[1].expect("220")
        stalled[1].command("EHLO client.test", "250")
        stalled[1].command("STARTTLS", "220")
        begun = time.monotonic()
        instance.stop()
        assert time.monotonic() - begun < 8
        assert all(talk.closed() for talk in stalled)


def test_a_handshake_at_a_port_for_text_is_dropped(server):
    for port in (server.smtp_port, server.submission_port):
        talk = harness.connect(port)
        talk.expect("220")
        with pytest.raises((ssl.SSLError, OSError)):
            secure.encrypted(server, talk.raw)


def test_close_notify_amid_a_message_and_plaintext_behind_it_queue_nothing(make_instance):
    with make_instance() as server:
        for port in (server.smtp_port, server.submission_port):
            talk = secure.starttls(server, port)
            talk.command("MAIL FROM:<alice@example.test>", "250")
            talk.command("RCPT TO:<alice@example.test>", "250")
            talk.command("DATA", "354")
            talk.send(b"Subject: half\r\n\r\nhalf\r\n")
            try:
                raw = talk.raw.unwrap()
                raw.sendall(b"rest\r\n.\r\nQUIT\r\n")
                assert b"250" not in raw.recv(4096)
            except (ssl.SSLError, OSError):
                pass
        server.send(b"Subject: whole\r\n\r\n")
        server.wait_queue_empty()
        assert len(server.delivered()) == 1


def test_octets_that_are_cut_anywhere_arrive(make_instance):
    """Records and reads have nothing to do with lines: many commands in one record, one command in
    many, a message larger than any buffer."""
    with make_instance() as server:
        talk = secure.connect_implicit(server)
        talk.expect("220")
        for octet in b"EHLO client.example.org\r\n":
            talk.send(bytes([octet]))
        talk.expect("250")
        secure.log_in(talk)
        talk.send(b"MAIL FROM:<alice@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
        for code in ("250", "250", "354"):
            talk.expect(code)
        body = b"".join(b"%06d " % i + b"x" * 70 + b"\r\n" for i in range(20000))
        talk.send(b"From: alice@example.test\r\nSubject: large\r\n\r\n" + body + b".\r\nNOOP\r\n")
        talk.expect("250 2.0.0 Ok: queued")
        talk.expect("250")
        server.wait_queue_empty()
        assert server.delivered()[0].read_bytes().endswith(body.replace(b"\r\n", b"\n"))


# ---- what is told ----


@pytest.mark.parametrize("login, words", [(False, b"with ESMTPS id"), (True, b"with ESMTPSA id")])
def test_received_and_the_log_tell_the_facts(make_instance, login, words):
    with make_instance() as server:
        talk = secure.starttls(server)
        if login:
            secure.log_in(talk)
        talk.command("MAIL FROM:<alice@example.test>", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("DATA", "354")
        talk.command("Subject: facts\r\n\r\n.", "250")
        server.wait_queue_empty()
        text = server.delivered()[0].read_bytes()
        assert words in text
        version, cipher = talk.raw.version().encode(), talk.raw.cipher()[0].encode()
        assert b"(using " + version + b" with cipher " + cipher in text
        server.wait_log("event=tls ", "version=" + version.decode(), "cipher=" + cipher.decode(),
                        "server_name=mx.example.test", "resumed=0")


def test_a_server_name_of_a_stranger_is_bounded_and_escaped_in_the_log(server):
    done = s_client(server.submissions_port, "-servername", "a\x1b[2J\"b c=d", wait=rb"220 mx|alert")
    assert "220 mx" in done or "alert" in done
    server.wait_log("event=tls", "client=127.0.0.1")
    assert not any("\x1b" in line for line in server.log_lines)


def hello(name):
    """A ClientHello with this name and no cipher that there is: the name is all that it costs."""
    names = struct.pack("!HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    body = (b"\3\3" + os.urandom(32) + b"\0" + b"\0\2\x0a\x0a" + b"\1\0" +
            struct.pack("!H", len(names)) + names)
    return b"\x16\3\1" + struct.pack("!HBBH", len(body) + 4, 1, 0, len(body)) + body


def test_thousands_of_server_names_cost_no_memory(make_instance):
    """500 names with a handshake each and 20,000 without; a million is in tests/unit/test_tls_names.c,
    where a name costs nothing else."""
    server = make_instance()
    # The sanitizer keeps freed memory for a while, to see who still reads it.
    server.within = ["env", "ASAN_OPTIONS=" + harness.environment()["ASAN_OPTIONS"] +
                     ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"]

    def resident():
        return sum(int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))
                   for pid in server.pids("submission"))

    context = secure.suspecting_nothing()

    def knock(count):
        for i in range(count):
            raw = socket.create_connection(("127.0.0.1", server.submissions_port), harness.DEADLINE)
            with context.wrap_socket(raw, server_hostname=f"n{i}.{os.urandom(20).hex()}.test"):
                pass

    def rattle(count):
        for i in range(count):
            with socket.create_connection(("127.0.0.1", server.submissions_port), 60) as raw:
                raw.sendall(hello(f"n{i}.{os.urandom(20).hex()}.test".encode()))
                assert raw.recv(100)[:1] == b"\x15", "an alert: it was read to its end"
    with server:
        knock(100)
        rattle(500)
        before = resident()
        knock(500)
        rattle(20000)
        assert resident() - before < 4096


# ---- certificates ----


def test_each_host_name_has_its_certificates_of_both_kinds(make_instance, tmp_path):
    sections = ""
    for name, kind in (("one.test", "ec"), ("one.test", "rsa"), ("two.test", "rsa")):
        certificate, key = make_certificate(tmp_path, name, kind)
        sections += f'tls "{name}" {{ certificate = "{certificate}" key = "{key}" }}\n'
    with make_instance(settings=sections) as server:
        context = secure.suspecting_nothing()
        context.maximum_version = ssl.TLSVersion.TLSv1_2

        def ask(name, ciphers):
            context.set_ciphers(ciphers)
            raw = socket.create_connection(("127.0.0.1", server.submissions_port), 60)
            talk = harness.Talk(context.wrap_socket(raw, server_hostname=name))
            talk.expect("220")
            return talk.raw.cipher()[0], certificate_names(talk)
        both = "ECDHE+AESGCM"
        assert ask("one.test", both)[1] == [b"one.test"]
        assert "ECDSA" in ask("one.test", "ECDHE-ECDSA-AES256-GCM-SHA384")[0]
        assert "RSA" in ask("one.test", "ECDHE-RSA-AES256-GCM-SHA384")[0]
        assert ask("ONE.test", both)[1] == [b"one.test"]
        assert ask("two.test", both)[1] == [b"two.test"]
        assert ask("mx.example.test", both)[1] == [b"Veredus"]
        assert ask("unknown.test", both)[1] == [b"Veredus"]
        assert ask(None, both)[1] == [b"Veredus"]


def test_a_new_certificate_counts_from_the_reload_on_and_drops_nobody(make_instance, tmp_path):
    with make_instance() as server:
        old = secure.connect_implicit(server)
        old.expect("220")
        certificate, key = make_certificate(tmp_path, "new.test")
        folder = server.directory / "tls"
        (folder / "cert.pem").write_bytes(certificate.read_bytes())
        (folder / "key.pem").write_bytes(key.read_bytes())
        workers = set(server.pids("submission"))
        server.run_command("reload")
        harness.wait_until(lambda: set(server.pids("submission")) - workers, "new workers")

        def names():
            talk = secure.connect_implicit(server, secure.suspecting_nothing())
            talk.expect("220")
            return certificate_names(talk)
        harness.wait_until(lambda: names() == [b"new.test"], "the new certificate")
        old.command("EHLO client.example.org", "250")
        secure.log_in(old)
        old.command("QUIT", "221")


def test_a_certificate_that_vanishes_is_served_all_the_same(make_instance):
    """§B 27: the old one stays; what was encrypted is never offered in the clear instead."""
    with make_instance() as server:
        context = secure.trusting(server)
        (server.directory / "tls" / "cert.pem").unlink()
        assert server.run_command("reload", check=False).returncode != 0
        secure.connect_implicit(server, context).expect("220")
        assert "STARTTLS" in secure.greeted(server.smtp_port).capabilities


def test_a_worker_that_dies_without_its_certificate_leaves_no_plaintext(make_instance):
    with make_instance() as server:
        server.deaths_expected = True
        context = secure.trusting(server)
        (server.directory / "tls" / "cert.pem").unlink()
        first, *_ = server.pids("submission")
        os.kill(first, harness.signal.SIGKILL)
        server.wait_log("event=child-died", "role=submission")
        for _ in range(4):
            secure.connect_implicit(server, context).expect("220")
            assert "STARTTLS" in secure.greeted(server.submission_port).capabilities


# ---- tickets ----


def resume(server, context, session):
    """A connection that shows the ticket of `session`, greeted."""
    talk = secure.connect_implicit(server, context, session)
    talk.expect("220")
    return talk


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=lambda v: v.name)
def test_a_ticket_is_good_with_every_worker_and_after_a_reload(make_instance, version):
    with make_instance(settings="workers = 3") as server:
        context = pinned(server, version)
        first = resume(server, context, None)
        assert not first.raw.session_reused
        session = first.raw.session
        held = [first]  # workers with fewer sessions get the next ones
        for _ in range(12):
            held.append(resume(server, context, session))
            assert held[-1].raw.session_reused
        workers = {re.search(r"pid=(\d+)", line).group(1)
                   for line in server.log_has("process=submission", "resumed=1")}
        old = set(server.pids("submission"))
        server.run_command("reload")
        harness.wait_until(lambda: len(set(server.pids("submission")) - old) == 3, "new workers")
        harness.wait_until(lambda: "starting" not in server.run_command("status").stdout, "serve")
        after = resume(server, context, session)
        assert after.raw.session_reused
        for talk in held:
            talk.raw.close()
        assert len(workers) > 1, "one worker alone proves nothing"


def test_a_resumed_session_is_logged_in_as_nobody(make_instance):
    with make_instance(settings='trusted_networks = {"192.0.2.0/24"}') as server:
        context = secure.trusting(server)
        first = resume(server, context, None)
        first.command("EHLO client.example.org", "250")
        secure.log_in(first)
        again = resume(server, context, first.raw.session)
        assert again.raw.session_reused
        again.command("EHLO client.example.org", "250")
        again.command("MAIL FROM:<alice@example.test>", "530")


def test_a_ticket_is_no_good_in_another_life_of_master(make_instance):
    instance = make_instance()
    context = secure.trusting(instance)
    with instance:
        session = resume(instance, context, None).raw.session
    with instance:
        assert not resume(instance, context, session).raw.session_reused


def test_a_ticket_that_was_tampered_with_costs_a_full_handshake(server, tmp_path):
    stored = tmp_path / "session"
    s_client(server.submissions_port, "-tls1_2", "-sess_out", str(stored), wait=rb"220 mx")
    label = "SSL SESSION PARAMETERS"
    der = bytearray(base64.b64decode("".join(stored.read_text().splitlines()[1:-1])))
    ticket = der.index(b"\xaa\x81")  # [10], the ticket, is more than 127 octets long
    for change, kind in ((0, "Reused"), (1, "New")):
        der[ticket + 60] ^= change
        text = base64.encodebytes(der).decode()
        stored.write_text(f"-----BEGIN {label}-----\n{text}-----END {label}-----\n")
        said = s_client(server.submissions_port, "-tls1_2", "-sess_in", str(stored), wait=rb"220 mx")
        assert f"{kind}, TLSv1.2" in said and "220 mx" in said, said
