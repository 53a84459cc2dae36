"""Every process ends with all its memory accounted for. See without_sandbox.c for how that is looked at."""
import pathlib
import signal
import subprocess

import pytest

import harness

ROLES = {"lookup", "auth", "qmgr", "deliver", "mailbox", "smtpd", "submission", "pop3d"}


@pytest.fixture
def watch_for_leaks(tmp_path, monkeypatch, sanitized):
    """From here on instances run without the sandbox and look for leaks when they end."""
    if not sanitized:
        return
    library = tmp_path / "without_sandbox.so"
    source = pathlib.Path(__file__).with_name("without_sandbox.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o",
                    str(library), str(source), "-ldl"], check=True)
    environment = harness.environment()
    environment["LD_PRELOAD"] = str(library)
    environment["ASAN_OPTIONS"] = "detect_leaks=1:exitcode=99:verify_asan_link_order=0:fast_unwind_on_malloc=0"
    monkeypatch.setattr(harness, "environment", lambda: environment)


def work(server):
    """Something of everything that allocates: mail, refusals, logins, deletions, sessions cut off."""
    for number in range(20):
        server.send(b"Subject: %d\r\n\r\n" % number, recipients=["team@example.test", "alice"])
    server.send(b"Subject: streamed\r\n\r\n" + b"x" * 70 + b"\r\n" * 1_000_000)
    server.send(b"Subject: fails\r\n\r\n", sender="alice@example.test",
                recipients=["x@gone.test", "x@sink.test"])
    server.wait_log("event=recipient-failed", "to=x@gone.test")
    half = harness.connect(server.smtp_port)
    half.expect("220")
    half.command("EHLO client.example.org", "250")
    half.command("MAIL FROM:<a@example.org>", "250")
    half.command("RCPT TO:<nobody@example.test>", "550")
    half.command("RCPT TO:<alice@example.test>", "250")
    half.command("DATA", "354")
    half.send(b"Subject: half\r\n")
    half.raw.close()
    server.wait_queue_empty()
    fetched = server.fetch_all(delete=True)
    assert len(fetched) >= 21
    with pytest.raises(Exception, match="AUTH"):
        server.pop3("alice@example.test", "wrong")
    left = server.pop3()
    left.close()


def test_no_process_leaks_after_it_has_worked(make_instance, watch_for_leaks, sanitized):
    server = make_instance(
        settings='relay_domains = {"sink.test", "gone.test"}\n'
        'route "sink.test" { transport = discard }\n',
        limits={"auth_delay_first": 1, "auth_delay_most": 1, "message_life": 1, "retry_first": 1,
                "retry_most": 1})
    with open(server.directory / "tables" / "aliases", "a", encoding="ascii") as aliases:
        aliases.write("team: alice, postmaster\n")
    server.run_command("table", "build")
    with server:
        work(server)
        before = set(server.children())
        server.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: not before & set(server.children()), "the old ones to end")
        work(server)
        amid_a_message = harness.connect(server.smtp_port)
        amid_a_message.expect("220")
        amid_a_message.command("EHLO client.example.org", "250")
        amid_a_message.command("MAIL FROM:<a@example.org>", "250")
        last = server.children()
    amid_a_message.raw.close()
    assert {role for _, role in last} == ROLES
    if sanitized:
        for pid, role in last:
            assert server.log_has("event=sandbox-left-out", f"pid={pid}"), role
    assert not server.log_has("LeakSanitizer")
