"""Processes that are out of descriptors wait, they do not spin."""
import os
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


def exhaust(pid):
    """Not one more descriptor for this process; the former limits."""
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    lowest = next(n for n in range(len(taken) + 1) if n not in taken)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest, before[1]))
    return before


def spends(pid, seconds=2):
    before = busy(pid)
    time.sleep(seconds)
    return (busy(pid) - before) / seconds


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
        assert all(spends(pid, 1) < HURRY for pid in before if os.path.exists(f"/proc/{pid}"))
        for pid, limits in before.items():
            if os.path.exists(f"/proc/{pid}"):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        harness.wait_until(lambda: len(server.delivered()) == sent, "all that was taken")
        server.pop3().quit()
