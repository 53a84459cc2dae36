"""Submission (RFC 6409): workers of their own at ports of their own, and what they may reach."""
import os
import re
import signal
import socket
import struct

import pytest

import harness
from secure import connect_implicit, encrypted


# ---- the listeners ----


def test_port_587_greets_and_speaks_smtp(shared_instance):
    talk = harness.connect(shared_instance.submission_port)
    talk.expect("220 mx.example.test ESMTP")
    capabilities = talk.command("EHLO client.example.org", "250-mx.example.test")
    assert "PIPELINING" in capabilities and "STARTTLS" in capabilities
    talk.command("QUIT", "221")


def test_port_587_speaks_tls_when_asked(shared_instance):
    talk = harness.connect(shared_instance.submission_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("STARTTLS", "220")
    talk = encrypted(shared_instance, talk.raw)
    assert "STARTTLS" not in talk.command("EHLO client.example.org", "250")
    talk.command("QUIT", "221")


def test_port_465_speaks_tls_from_the_start(shared_instance):
    talk = connect_implicit(shared_instance)
    talk.expect("220 mx.example.test ESMTP")
    talk.command("EHLO client.example.org", "250")
    talk.command("QUIT", "221")


def test_port_465_says_nothing_in_plaintext(shared_instance):
    talk = harness.connect(shared_instance.submissions_port)
    talk.send(b"EHLO client.example.org\r\n")
    octets = b""
    try:
        while more := talk.raw.recv(4096):
            octets += more
    except ConnectionResetError:
        pass
    assert b"220" not in octets and b"mx.example.test" not in octets, octets


# ---- the workers ----


def test_its_workers_are_as_many_as_those_of_port_25_and_others(shared_instance):
    status = shared_instance.run_command("status").stdout
    for role in ("smtpd", "submission"):
        pids = shared_instance.pids(role)
        assert len(pids) == (os.cpu_count() or 1)
        listed = [int(pid) for pid in re.findall(rf"(?m)^child {role} \d+ (\d+) ready", status)]
        assert sorted(listed) == sorted(pids)


def test_without_a_listener_there_are_no_workers(make_instance):
    instance = make_instance()
    text = instance.configuration.read_text()
    instance.configuration.write_text(re.sub(r'(?m)^listen "submissions?".*\n', "", text))
    with instance:
        assert instance.pids("smtpd") and not instance.pids("submission")
        with pytest.raises(ConnectionRefusedError):
            harness.connect(instance.submission_port)


def test_death_of_its_workers_is_no_concern_of_port_25(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        talk = harness.connect(instance.smtp_port)
        talk.expect("220")
        before = set(instance.pids("submission"))
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        talk.command("EHLO client.example.org", "250")
        harness.wait_until(lambda: len(set(instance.pids("submission")) - before) == len(before),
                           "other workers")
        harness.wait_until(lambda: instance.run_command("status").stdout.count("starting") == 0,
                           "that they serve")
        submission = harness.connect(instance.submission_port)
        submission.expect("220")
        talk.command("QUIT", "221")


def test_a_session_goes_on_over_a_reload(make_instance):
    with make_instance() as instance:
        talk = connect_implicit(instance)
        talk.expect("220")
        old = set(instance.pids("submission"))
        instance.run_command("reload")
        harness.wait_until(lambda: set(instance.pids("submission")) - old, "new workers")
        talk.command("EHLO client.example.org", "250")
        talk.command("QUIT", "221")
        harness.wait_until(lambda: not set(instance.pids("submission")) & old, "the old ones gone")
        fresh = connect_implicit(instance)
        fresh.expect("220")


def test_a_certificate_that_can_not_be_read_keeps_the_old_workers(make_instance):
    with make_instance() as instance:
        old = set(instance.pids("submission"))
        certificate = instance.directory / "tls" / "cert.pem"
        good = certificate.read_bytes()
        certificate.write_bytes(b"no certificate\n")
        assert "cert.pem" in instance.run_command("reload", check=False).stderr
        certificate.write_bytes(good)  # what the client believes in
        assert set(instance.pids("submission")) == old
        connect_implicit(instance).expect("220")


# ---- what they can reach ----


def peers_of_sockets():
    """{inode: inode of the other end} of all connected UNIX sockets, from the kernel (sock_diag(7))."""
    dump, by_family, show_peer, peer_attribute = 0x301, 20, 4, 2
    request = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xffffffff, 0, show_peer, 0, 0)
    found = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:
        diag.send(struct.pack("=IHHII", 16 + len(request), by_family, dump, 1, 0) + request)
        while True:
            packet = diag.recv(1 << 16)
            while packet:
                size, kind = struct.unpack_from("=IH", packet)
                if kind != by_family:
                    assert kind == 3, "the end of the dump, and no error"
                    return found
                inode, = struct.unpack_from("=I", packet, 20)
                attributes = packet[32:size]
                while attributes:
                    length, name = struct.unpack_from("=HH", attributes)
                    if name == peer_attribute:
                        found[inode], = struct.unpack_from("=I", attributes, 4)
                    attributes = attributes[(length + 3) & ~3:]
                packet = packet[(size + 3) & ~3:]


def sockets_of(pid):
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
        if match:
            found.add(int(match.group(1)))
    return found


def test_of_those_who_receive_mail_submission_alone_has_a_socket_to_auth(shared_instance):
    """The kernel's word on who holds the other ends of auth's sockets."""
    peers = peers_of_sockets()
    owners = {inode: role for pid, role in shared_instance.children() for inode in sockets_of(pid)}
    reached = [owners.get(peers.get(inode))
               for pid in shared_instance.pids("auth") for inode in sockets_of(pid)]
    workers = os.cpu_count() or 1
    assert reached.count("submission") == workers and reached.count("pop3d") == workers
    assert set(reached) <= {"submission", "pop3d", None}, reached
    reached_by_smtpd = {owners.get(peers.get(inode))
                        for pid in shared_instance.pids("smtpd") for inode in sockets_of(pid)}
    assert reached_by_smtpd - {None} == {"qmgr", "lookup"}
