"""Master dies; the next one must not wait for clients of the first."""
import os
import signal
import socket

import pytest

import harness


def listens(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@pytest.mark.parametrize("service", ["smtp", "pop3"])
def test_a_client_of_a_dead_master_does_not_hold_the_port(make_instance, service):
    server = make_instance()
    server.deaths_expected = True
    with server:
        if service == "smtp":
            talk = harness.connect(server.smtp_port)
            talk.expect("220")
            talk.command("EHLO client.example.org", "250")
            talk.command("MAIL FROM:<bob@example.org>", "250")
            talk.command("RCPT TO:<alice@example.test>", "250")
            talk.command("DATA", "354")
            port = server.smtp_port
        else:
            client = server.pop3()
            client.noop()
            port = server.pop3_port
        children = [pid for pid, _ in server.children()]
        server.process.kill()
        server.process.wait()
        try:
            harness.wait_until(lambda: not listens(port), "a free port", 5)
        finally:
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        server.start()
