"""SMTP and LMTP on UNIX sockets: clients of this host, known by the user they run as."""
import os
import smtplib
import socket
import stat
import subprocess
import sys

import pytest

import harness

MESSAGE = b"Subject: local\r\n\r\nx\r\n"


def with_sockets(server):
    text = server.configuration.read_text() + """
listen "local" { service = submission address = "./smtp.sock" }
listen "lmtp" { service = lmtp address = "./lmtp.sock" mode = 0600 }
"""
    server.configuration.write_text(text)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Nobody is trusted but by the sockets."""
    made = harness.Instance(tmp_path_factory.mktemp("unix") / "i",
                            settings='trusted_networks = {}\n'
                                     'route "elsewhere.example" { transport = hold }\n')
    with with_sockets(made) as running:
        yield running


def connect(server, name="smtp.sock"):
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(harness.DEADLINE)
    raw.connect(str(server.directory / name))
    return harness.Talk(raw)


def test_the_user_of_the_client_is_in_received_and_log(server):
    talk = connect(server)
    talk.expect("220 mx.example.test ESMTP")
    talk.command("EHLO localhost", "250")
    talk.command("MAIL FROM:<bob@example.test>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.command("DATA", "354")
    talk.send(MESSAGE + b".\r\n")
    talk.expect("250")
    talk.command("QUIT", "221")
    server.wait_queue_empty()
    assert f"from localhost (uid {os.getuid()})" in server.delivered()[0].read_text()
    assert server.wait_log("event=message-accepted", f'client="uid {os.getuid()}"')


@pytest.mark.root  # to become somebody else
def test_every_user_is_known_by_his_own_number(server):
    for part in [server.directory, *server.directory.parents][:6]:
        if part.owner() == "root" and part != part.parent:
            part.chmod(part.stat().st_mode | 0o011)
    program = ("import os, socket, sys\nos.setgid(12345)\nos.setuid(12345)\n"
               "s = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
               "f = s.makefile('rwb', 0)\nf.readline()\n"
               "f.write(b'VRFY\\r\\n')\nprint(f.readline().decode())\n")
    done = subprocess.run([sys.executable, "-c", program, str(server.directory / "smtp.sock")],
                          capture_output=True, text=True, timeout=harness.DEADLINE, check=False)
    assert done.stdout.startswith("501"), (done.stdout, done.stderr)
    assert server.wait_log("event=refused", 'client="uid 12345"')


def test_it_relays_without_a_login(server):
    talk = connect(server)
    talk.expect("220")
    talk.command("EHLO localhost", "250")
    talk.command("MAIL FROM:<bob@example.test>", "250")
    talk.command("RCPT TO:<joe@elsewhere.example>", "250")
    # While over TCP nobody may.
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<bob@example.test>", "250")
    talk.command("RCPT TO:<joe@elsewhere.example>", "554 5.7.1")


def test_lmtp_is_spoken_there_too(server):
    with smtplib.LMTP(str(server.directory / "lmtp.sock")) as client:
        client.sendmail("joe@example.org", ["alice@example.test"], MESSAGE)
    server.wait_queue_empty()
    assert any(" with LMTP id " in path.read_text() for path in server.delivered())


def test_the_sockets_have_their_modes(server):
    for name, mode in (("smtp.sock", 0o666), ("lmtp.sock", 0o600)):
        assert stat.S_IMODE((server.directory / name).stat().st_mode) == mode


def test_the_socket_serves_over_a_reload_and_goes_with_the_server(make_instance):
    server = with_sockets(make_instance())
    with server:
        talk = connect(server)
        talk.expect("220")
        inode = (server.directory / "smtp.sock").stat().st_ino
        server.run_command("reload")
        assert (server.directory / "smtp.sock").stat().st_ino == inode
        talk.command("NOOP", "250")
        connect(server).expect("220")
        talk.command("QUIT", "221")
    assert not (server.directory / "smtp.sock").exists()


def test_what_a_killed_server_left_is_replaced(make_instance):
    server = with_sockets(make_instance())
    server.start()
    master = server.process.pid
    server.kill()
    assert (server.directory / "smtp.sock").exists()
    server.log_lines.clear()
    with server:
        assert server.process.pid != master
        connect(server).expect("220")


def test_a_file_in_its_place_stops_the_start_and_stays(make_instance):
    server = with_sockets(make_instance())
    (server.directory / "smtp.sock").write_text("precious")
    with pytest.raises(AssertionError, match="smtp.sock can not be bound"):
        server.start()
    assert (server.directory / "smtp.sock").read_text() == "precious"


def test_a_thousand_connects_leave_it_well(server):
    for _ in range(1000):
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(server.directory / "smtp.sock"))
        raw.close()
    connect(server).expect("220")
