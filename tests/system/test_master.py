"""Life and death of the processes: start, reload, stop, restarts."""
import contextlib
import os
import signal
import socket
import time

import pytest

import harness


def test_every_process_is_there_and_serves(instance):
    roles = [role for _, role in instance.children()]
    for role in ("smtpd", "submission", "qmgr", "lookup", "auth", "pop3d", "deliver", "mailbox"):
        assert role in roles, roles
    assert roles.count("smtpd") == (os.cpu_count() or 1)


def test_sigterm_ends_cleanly_and_leaves_no_process(make_instance):
    instance = make_instance().start()
    children = [pid for pid, _ in instance.children()]
    assert instance.stop() == 0
    assert not [pid for pid in children if os.path.exists(f"/proc/{pid}")]


@pytest.mark.parametrize("reloads", [0, 2])
def test_sigterm_to_the_process_group_is_nobodys_death(make_instance, reloads):
    """What timeout(1) does, and the kill of a shell that controls jobs. stop() reads the log."""
    instance = make_instance()
    instance.within = ["setsid"]
    instance.start()
    for reload in range(reloads):
        instance.process.send_signal(signal.SIGHUP)
        instance.wait_log("event=ready", "process=master", f"generation={reload + 2}")
    os.killpg(instance.process.pid, signal.SIGTERM)
    assert instance.stop() == 0


def test_sigterm_lets_a_message_in_flight_finish(make_instance):
    instance = make_instance().start()
    talk = harness.connect(instance.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<a@example.org>", "250")
    talk.command("RCPT TO:<alice@example.test>", "250")
    talk.command("DATA", "354")
    instance.process.send_signal(signal.SIGTERM)
    talk.send(b"Subject: last\r\n\r\nwords\r\n.\r\n")
    talk.expect("250")
    assert instance.stop() == 0
    instance.start()
    harness.wait_until(lambda: len(instance.delivered()) == 1, "the delivery")
    assert instance.stop() == 0


def test_sigterm_ends_cleanly_with_clients_that_never_go_on(make_instance):
    """RFC 5321 §3.8: one is told 421 before the rest is told to end; nobody is killed. RFC 1939 §6:
    what the other one marked stays."""
    instance = make_instance().start()
    instance.send(b"Subject: stays\r\n\r\n")
    harness.wait_until(instance.delivered, "the delivery")
    reader = instance.pop3()
    reader.dele(1)
    talk = harness.connect(instance.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<a@example.org>", "250")
    instance.process.send_signal(signal.SIGTERM)
    talk.expect("421")
    assert instance.stop() == 0
    assert len(instance.delivered()) == 1
    reader.close()


def test_a_second_master_on_the_same_spool_refuses(instance):
    done = instance.run_command("run", check=False)
    assert done.returncode != 0
    assert done.stderr.strip(), "it says why"
    instance.send(b"Subject: still served\r\n\r\n")


@pytest.mark.parametrize("role", ["smtpd", "submission", "qmgr", "lookup", "auth", "pop3d", "deliver",
                                  "mailbox"])
def test_a_killed_child_comes_back_and_its_neighbours_go_on(make_instance, role):
    with make_instance() as instance:
        instance.deaths_expected = True
        before = dict(instance.children())
        victims = instance.pids(role)
        os.kill(victims[0], signal.SIGKILL)
        harness.wait_until(lambda: len(instance.pids(role)) == len(victims) and
                           victims[0] not in instance.pids(role), f"a new {role}")
        for pid, name in before.items():
            if pid != victims[0]:
                assert pid in dict(instance.children()), f"{name} died too"

        def sends():
            try:
                return instance.send(b"Subject: after\r\n\r\n")
            except (AssertionError, OSError):
                return None
        harness.wait_until(sends, "mail to be accepted")
        harness.wait_until(instance.delivered, "its delivery")
        client = instance.pop3()
        assert client.stat()[0] >= 1
        client.quit()


def test_a_child_that_dies_at_once_is_restarted_with_backoff(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        end = time.monotonic() + 3
        kills = 0
        while time.monotonic() < end:
            for pid in instance.pids("lookup"):
                try:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    pass
            time.sleep(0.01)
        assert kills < 12, "no storm of forks"
        harness.wait_until(lambda: instance.pids("lookup"), "lookup is back", 60)


def test_reload_drops_no_connection_and_takes_the_new_settings(make_instance):
    with make_instance() as instance:
        talk = harness.connect(instance.smtp_port)
        talk.expect("220")
        talk.command("EHLO client.example.org", "250")
        talk.command("MAIL FROM:<a@example.org>", "250")
        old = set(instance.pids("smtpd"))
        text = instance.configuration.read_text()
        instance.configuration.write_text(
            text + '\nrelay_domains = {"sink.test"}\nroute "sink.test" { transport = discard }\n')
        instance.run_command("reload")
        harness.wait_until(lambda: set(instance.pids("smtpd")) - old, "new workers")
        harness.wait_until(lambda: takes_sink(instance), "the new settings to be served")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("DATA", "354")
        talk.send(b"Subject: over a reload\r\n\r\n.\r\n")
        talk.expect("250")
        talk.command("NOOP", "250")  # the old worker goes on with whom it has
        talk.command("QUIT", "221")
        harness.wait_until(instance.delivered, "the delivery")
        harness.wait_until(lambda: not set(instance.pids("smtpd")) & old, "the old ones gone")


def test_workers_are_relieved_without_a_refused_client(make_instance):
    with make_instance(limits={"worker_age": 1}) as instance:
        talk = harness.connect(instance.smtp_port)
        talk.expect("220")
        talk.command("EHLO client.example.org", "250")
        talk.command("MAIL FROM:<a@example.org>", "250")
        mailbox = instance.pop3()
        first = {role: set(instance.pids(role)) for role in ("smtpd", "pop3d", "qmgr", "lookup")}
        fresh = {"smtpd": set(), "pop3d": set()}
        sent = 0
        deadline = time.monotonic() + 60
        while min(map(len, fresh.values())) < 6:  # three generations of two workers
            assert time.monotonic() < deadline
            instance.send(b"Subject: %d\r\n\r\n" % sent)
            with socket.create_connection(("127.0.0.1", instance.pop3_port), 10) as client:
                assert client.recv(100).startswith(b"+OK")
            sent += 1
            for role, pids in fresh.items():
                pids |= set(instance.pids(role)) - first[role]
        # The old workers go on with whom they have, and then end.
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("DATA", "354")
        talk.send(b"Subject: over a relief\r\n\r\n.\r\n")
        talk.expect("250")
        talk.command("QUIT", "221")
        assert mailbox.noop().startswith(b"+OK")
        mailbox.quit()
        harness.wait_until(lambda: len(instance.delivered()) == sent + 1, "all that was taken")
        for role in ("smtpd", "pop3d"):
            harness.wait_until(lambda: not set(instance.pids(role)) & first[role], "the old gone")
        for role in ("qmgr", "lookup"):
            assert set(instance.pids(role)) == first[role]


def takes_sink(instance):
    raw = socket.create_connection(("127.0.0.1", instance.smtp_port), 10)
    talk = harness.Talk(raw)
    talk.expect("220")
    talk.command("EHLO c.example.org", "250")
    talk.command("MAIL FROM:<>", "250")
    talk.send(b"RCPT TO:<x@sink.test>\r\n")
    taken = talk.reply().startswith("250")
    talk.send(b"QUIT\r\n")
    raw.close()
    return taken


def test_reload_of_a_bad_file_keeps_the_old_settings(instance):
    text = instance.configuration.read_text()
    instance.configuration.write_text(text + "\nno_such_setting = 1\n")
    before = set(instance.pids("smtpd"))
    done = instance.run_command("reload", check=False)
    assert done.returncode != 0
    assert "veredus.conf" in done.stderr + done.stdout
    assert set(instance.pids("smtpd")) == before
    instance.send(b"Subject: still served\r\n\r\n")


def test_master_killed_leaves_nothing_to_clean_up(make_instance):
    instance = make_instance().start()
    instance.send(b"Subject: one\r\n\r\n")
    children = [pid for pid, _ in instance.children()]
    instance.process.kill()
    instance.process.wait()
    harness.wait_until(lambda: not [p for p in children if os.path.exists(f"/proc/{p}")],
                       "the children to notice")
    with instance:
        harness.wait_until(lambda: len(instance.delivered()) == 1, "the delivery")


def test_garbage_on_the_operators_socket_harms_nobody(instance):
    path = next(p for p in (instance.directory / "run").iterdir() if p.is_socket())
    for octets in (b"", b"\0", b"\xff" * 100, b"\x50\x00\xff\xff\xff\xff", b"x" * 60000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as raw:
            raw.connect(str(path))
            if octets:
                raw.send(octets)
    for _ in range(100):
        with contextlib.ExitStack() as crowd:
            for _ in range(100):
                raw = crowd.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                raw.setblocking(False)
                with contextlib.suppress(OSError):
                    raw.connect(str(path))
    assert "smtpd" in instance.run_command("status").stdout


def test_status_shows_every_child_and_the_counters(instance):
    instance.send(b"Subject: count me\r\n\r\n")
    instance.wait_queue_empty()
    values = instance.status()
    assert values["messages-in"] == 1 and values["delivered"] == 1 and values["queued"] == 0


@pytest.mark.parametrize("bad, said", [
    ("hostnam = \"x\"", "hostnam"), ("limits { message_size = -1 }", "message_size"),
    ("limits { recipients = 0 }", "recipients"), ("limits { idle = 9223372036854775808 }", "idle"),
    ("trusted_networks = {\"10.0.0.0/33\"}", "10.0.0.0/33"), ("plaintext_auth = maybe", "maybe"),
])
def test_a_bad_setting_is_refused_with_file_and_line(make_instance, bad, said):
    instance = make_instance()
    lines = instance.configuration.read_text().rstrip("\n").split("\n")
    instance.configuration.write_text("\n".join(lines + [bad]) + "\n")
    done = instance.run_command("check", check=False)
    assert done.returncode == 78
    assert f"veredus.conf:{len(lines) + 1}" in done.stderr and said in done.stderr, done.stderr
    assert instance.run_command("run", check=False).returncode == 78


def test_a_configuration_that_others_may_write_is_refused(make_instance):
    instance = make_instance()
    instance.configuration.chmod(0o666)
    assert instance.run_command("check", check=False).returncode == 78


def test_users_come_and_go_without_a_restart(instance):
    instance.run_command("user", "add", "carol@example.test", input="pass word\n")
    instance.send(b"Subject: to carol\r\n\r\n", recipients=["carol@example.test"])
    harness.wait_until(lambda: instance.delivered("carol@example.test"), "the delivery")
    client = instance.pop3("carol@example.test", "pass word")
    assert client.stat()[0] == 1
    client.quit()
    instance.run_command("user", "passwd", "carol@example.test", input="other\n")
    client = instance.pop3("carol@example.test", "other")
    client.quit()
    assert "carol@example.test" in instance.run_command("user", "list").stdout
    instance.run_command("user", "delete", "carol@example.test")
    talk = harness.connect(instance.smtp_port)
    talk.expect("220")
    talk.command("EHLO c.example.org", "250")
    talk.command("MAIL FROM:<>", "250")
    talk.command("RCPT TO:<carol@example.test>", "550 5.1.1")
