"""Processes that are out of descriptors wait, they do not spin."""
import os
import poplib
import resource
import socket
import time

import pytest

import harness

HURRY = 0.5  # of one processor


def busy(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exhaust(pid, most=10**6, spare=0):
    """No more descriptors than `spare` for this process, nor one in place of those from `most` on
    that it closes; the former limits."""
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    lowest = next(n for n in range(len(taken) + 1) if n not in taken)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(lowest + spare, most), before[1]))
    return before


def spends(pid, seconds=2):
    """Of one processor. One that ended meanwhile spends nothing."""
    try:
        before = busy(pid)
        time.sleep(seconds)
        return (busy(pid) - before) / seconds
    except FileNotFoundError:
        return 0


def test_pop3d_out_of_descriptors_does_not_spin(make_instance):
    with make_instance() as server:
        pids = server.pids("pop3d")
        before = [exhaust(pid) for pid in pids]
        clients = [socket.create_connection(("127.0.0.1", server.pop3_port)) for _ in range(4)]
        lines = len(server.log_lines)
        try:
            assert max(spends(pid) for pid in pids) < HURRY
            assert len(server.log_lines) - lines < 200
        finally:
            for pid, limits in zip(pids, before):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        assert all(client.recv(100).startswith(b"+OK") for client in clients)


def test_master_out_of_descriptors_does_not_spin(make_instance):
    with make_instance() as server:
        master = server.process.pid
        before = exhaust(master)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as operator:
            here = os.getcwd()
            os.chdir(server.directory / "run")  # names of sockets are short
            operator.connect("master.sock")
            os.chdir(here)
            try:
                assert spends(master) < HURRY
            finally:
                resource.prlimit(master, resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("role", ["qmgr", "deliver", "lookup", "auth",
                                  "mailbox"])
def test_a_daemon_out_of_descriptors_loses_nothing_and_recovers(make_instance, role):
    server = make_instance(limits={"retry_first": 1, "retry_most": 2})
    server.deaths_expected = True  # one that dies of it and comes back is fine, too
    with server:
        server.send(b"Subject: 0\r\n\r\n")
        server.wait_queue_empty()
        before = {pid: exhaust(pid) for pid in server.pids(role)}
        sent = 1
        for k in range(20):
            try:
                server.send(b"Subject: %d\r\n\r\n" % (k + 1))
                sent += 1
            except AssertionError as refused:
                assert "got '4" in str(refused)
        assert all(spends(pid, 1) < HURRY for pid in before)
        for pid, limits in before.items():
            if os.path.exists(f"/proc/{pid}"):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        harness.wait_until(lambda: len(server.delivered()) == sent, "all that was taken")
        server.pop3().quit()


def restore(before):
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def test_a_segment_that_smtpd_could_not_take_does_not_cost_it_qmgr(make_instance):
    with make_instance(settings="workers = 1\nsegment_size = 1M\n") as server:
        pids = server.pids("smtpd")
        talk = harness.connect(server.smtp_port)
        talk.expect("220")
        talk.command("EHLO client.example.org", "250")
        letter = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 1000 + b".\r\n"
        taken = 0

        def send():
            talk.command("MAIL FROM:<bob@example.org>", "250")
            talk.command("RCPT TO:<alice@example.test>", "250")
            talk.send(b"DATA\r\n")
            if not talk.reply().startswith("354"):
                return False
            talk.send(letter)
            return talk.reply().startswith("250")

        before = {pid: exhaust(pid, 4) for pid in pids}
        try:
            for _ in range(60):  # when a segment is full, the next one is not taken
                taken += 0 if server.log_has("qmgr-lost") else send()
            server.wait_log("process=smtpd", "message-malformed")
        finally:
            restore(before)
        for _ in range(40):  # more than fits into what is in hand
            assert send()
            taken += 1
        harness.wait_until(lambda: len(server.delivered()) == taken, "all of them")
        assert server.pids("smtpd") == pids


def reads(server):
    try:
        reader = server.pop3()
        reader.retr(1)
        reader.quit()
    except poplib.error_proto:
        return False
    return True


def test_a_message_that_pop3d_could_not_take_does_not_cost_it_mailbox(make_instance):
    with make_instance(settings="workers = 1\n") as server:
        for k in range(3):
            server.send(b"Subject: %d\r\n\r\n" % k)
        server.wait_queue_empty()
        pids = server.pids("pop3d")
        reader = server.pop3()
        # One for the lock that goes with the question, none for the answer of three.
        before = {pid: exhaust(pid, spare=1) for pid in pids}
        try:
            with pytest.raises((poplib.error_proto, OSError)):
                reader.retr(1)
            server.wait_log("process=pop3d", "message-malformed")
        finally:
            restore(before)
        reader.close()
        harness.wait_until(lambda: reads(server), "a new socket to a mailbox process")
        assert server.pids("pop3d") == pids
