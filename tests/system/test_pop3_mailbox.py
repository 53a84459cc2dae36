"""What POP3 shows of a Maildir that others change."""
import os
import pathlib
import shutil
import signal
import socket
import time

import pytest

import harness


def put(instance, name, octets, part="new", address="alice@example.test"):
    """Writes a file into the Maildir as another program would."""
    box = instance.maildir(address)
    for folder in ("tmp", "new", "cur"):
        (box / folder).mkdir(parents=True, exist_ok=True)
    path = box / part / name
    path.write_bytes(octets)
    return path


def login(instance, user="alice@example.test", password="secret"):
    talk = harness.connect(instance.pop3_port)
    talk.expect("+OK")
    talk.command(f"USER {user}", "+OK")
    talk.command(f"PASS {password}", "+OK")
    return talk


def multiline(talk):
    lines = []
    while True:
        line = talk.line()
        assert line is not None
        if line == ".":
            return lines
        lines.append(line)


@pytest.mark.parametrize("way", ["drop", "kill", "sigterm"])
def test_without_quit_nothing_is_deleted(make_instance, way):
    instance = make_instance()
    put(instance, "1.V1.h", b"a\n")
    instance.start()
    talk = login(instance)
    talk.command("DELE 1", "+OK")
    if way == "drop":
        talk.raw.close()
    elif way == "kill":
        instance.deaths_expected = True
        for pid in instance.pids("pop3d"):
            os.kill(pid, 9)
        assert talk.closed()
    if way == "sigterm":
        # One that stays is waited for: test_master.py does that for SMTP and POP3 together.
        instance.process.send_signal(signal.SIGTERM)
        instance.wait_log("event=draining", "process=pop3d")
        talk.raw.close()
        assert instance.stop() == 0
        instance.start()
    again = harness.wait_until(lambda: try_login(instance), "a login after the end of the first")
    again.command("STAT", "+OK 1 3")
    again.command("QUIT", "+OK")
    assert instance.stop() == 0


def try_login(instance):
    try:
        return login(instance)
    except (AssertionError, OSError):
        return None


def test_a_second_session_is_told_in_use_and_the_lock_dies_with_the_first(make_instance):
    instance = make_instance()
    put(instance, "1.V1.h", b"a\n")
    with instance:
        first = login(instance)
        second = harness.connect(instance.pop3_port)
        second.expect("+OK")
        second.command("USER alice@example.test", "+OK")
        second.command("PASS secret", "-ERR [IN-USE]")
        first.command("NOOP", "+OK")
        first.raw.close()
        harness.wait_until(lambda: try_login(instance), "the lock to be free")


def test_the_lock_is_free_after_kill_9(make_instance):
    instance = make_instance()
    put(instance, "1.V1.h", b"a\n")
    instance.deaths_expected = True
    with instance:
        login(instance)
        for pid in instance.pids("pop3d"):
            os.kill(pid, 9)
        talk = harness.wait_until(lambda: try_login(instance), "the lock to be free")
        talk.command("QUIT", "+OK")


def test_changes_by_others_change_nothing_in_a_session(make_instance):
    instance = make_instance()
    paths = [put(instance, f"{n}.V{n}.h", b"x" * n + b"\n") for n in (1, 2, 3)]
    with instance:
        talk = login(instance)
        talk.command("UIDL", "+OK")
        before = multiline(talk)
        put(instance, "0.V0.h", b"new\n")
        paths[1].rename(instance.maildir() / "cur" / (paths[1].name + ":2,S"))
        talk.command("UIDL", "+OK")
        assert multiline(talk) == before
        talk.command("STAT", "+OK 3 12")
        talk.command("RETR 2", "+OK")
        assert multiline(talk) == ["xx"]
        paths[0].unlink()
        talk.command("RETR 3", "+OK")
        assert multiline(talk) == ["xxx"]
        talk.command("QUIT", "+OK")


def restored_from_a_backup(box):
    shutil.copytree(box, box.with_name("backup"))  # new inodes, in another order
    shutil.rmtree(box)
    box.with_name("backup").rename(box)


def test_uidl_is_stable_over_restart_restore_and_flags(make_instance):
    instance = make_instance()
    path = put(instance, "1600000000.V1.h", b"a\n")
    put(instance, "1600000001." + "y" * 90, b"b\n")
    seen = []
    for change in (lambda: None, lambda: os.utime(path, (1, 1)),
                   lambda: restored_from_a_backup(instance.maildir()),
                   lambda: path.rename(instance.maildir() / "cur" / (path.name + ":2,RS"))):
        change()
        with instance:
            talk = login(instance)
            talk.command("UIDL", "+OK")
            seen.append(multiline(talk))
            talk.command("QUIT", "+OK")
    assert len(seen[0]) == 2 and all(seen[0] == other for other in seen)
    for line in seen[0]:
        uid = line.split(" ", 1)[1]
        assert 1 <= len(uid) <= 70 and all(0x21 <= ord(c) <= 0x7E for c in uid)


@pytest.mark.parametrize("octets, size, lines", [
    (b"a\nb\n", 6, ["a", "b"]),
    (b"a\r\nb\r\n", 6, ["a", "b"]),
    (b"a\r\nb\n", 6, ["a", "b"]),
    (b"a\nb", 6, ["a", "b"]),
    (b".\n..\n", 7, ["..", "..."]),
])
def test_list_counts_the_octets_with_crlf_before_stuffing(make_instance, octets, size, lines):
    instance = make_instance()
    put(instance, "1.V1.h", octets)
    with instance:
        talk = login(instance)
        talk.command("LIST 1", f"+OK 1 {size}")
        talk.command("RETR 1", "+OK")
        assert multiline(talk) == lines
        talk.command("QUIT", "+OK")


def test_a_vanished_file_is_an_error_for_it_alone(make_instance):
    instance = make_instance()
    paths = [put(instance, f"{n}.V{n}.h", b"x\n") for n in (1, 2)]
    with instance:
        talk = login(instance)
        paths[0].unlink()
        talk.command("RETR 1", "-ERR")
        talk.command("RETR 2", "+OK")
        multiline(talk)
        talk.command("QUIT", "+OK")


def test_what_is_no_plain_file_is_skipped(make_instance):
    instance = make_instance()
    put(instance, "1.V1.h", b"x\n")
    new = instance.maildir() / "new"
    (new / "2.link").symlink_to(new / "1.V1.h")
    os.mkfifo(new / "3.fifo")
    (new / "4.directory").mkdir()
    with instance:
        talk = login(instance)
        talk.command("STAT", "+OK 1 3")
        talk.command("RETR 1", "+OK")
        assert multiline(talk) == ["x"]
        talk.command("QUIT", "+OK")


def test_a_mailbox_that_was_copied_with_hard_links_is_read(make_instance):
    instance = make_instance()
    names = ["1.V1.h,S=2,W=3", "2.V2.h"]
    for name in names:
        path = put(instance, name, b"x\n")
        os.link(path, instance.directory / name)
    with instance:
        talk = login(instance)
        talk.command("STAT", "+OK 2 6")
        for number in (1, 2):
            talk.command(f"RETR {number}", "+OK")
            assert multiline(talk) == ["x"]
        talk.command("QUIT", "+OK")


@pytest.mark.root  # who alone can give a file away
def test_a_hard_link_to_a_secret_of_somebody_else_is_never_sent(make_instance):
    instance = make_instance()
    put(instance, "1.V1.h", b"x\n")
    secret = instance.directory / "secret"
    secret.write_bytes(b"secret\n")
    secret.chmod(0o644)
    os.chown(secret, 65534, 65534)
    # A name that states a size is listed unseen.
    for name in ("2.stated,S=7,W=8", "3.unstated"):
        os.link(secret, instance.maildir() / "new" / name)
    with instance:
        talk = login(instance)
        talk.command("STAT", "+OK 2 11")
        talk.command("RETR 1", "+OK")
        assert multiline(talk) == ["x"]
        talk.command("RETR 2", "-ERR")
        talk.command("TOP 2 10", "-ERR")
        talk.command("QUIT", "+OK")


@pytest.mark.parametrize("line", [b"", b":", b"STAT\0", b"X" * 300, b"\xff\xfe", b"RETR", b"RETR 0",
                                  b"RETR 4294967297", b"RETR -1", b"RETR 1 2", b"LIST x",
                                  b"DELE 18446744073709551617"])
def test_bad_lines_get_an_error_and_the_session_goes_on(shared_instance, line):
    talk = login(shared_instance, "bob@example.test", "word")
    talk.command(line, "-ERR")
    talk.command("NOOP", "+OK")
    talk.command("QUIT", "+OK")


def test_too_many_bad_commands_close(shared_instance):
    talk = harness.connect(shared_instance.pop3_port)
    talk.expect("+OK")
    talk.send(b"FOO\r\n" * 40)
    answers = 0
    while talk.line() is not None:
        answers += 1
    assert 1 <= answers <= 21


def test_commands_come_in_any_split(shared_instance):
    octets = b"user bob@example.test\r\nPASS word\r\nSTAT \r\nnoop\r\nQUIT\r\n"
    for cut in range(1, len(octets)):
        talk = harness.connect(shared_instance.pop3_port)
        talk.expect("+OK")
        talk.send(octets[:cut])
        talk.send(octets[cut:])
        assert [talk.line()[:3] for _ in range(5)] == ["+OK"] * 5, cut
        assert talk.closed()


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def test_a_hundred_thousand_messages_log_in_fast_and_in_bounded_memory(make_instance, sanitized):
    instance = make_instance()
    put(instance, "0.V0.h,S=2,W=3", b"x\n")
    new = instance.maildir() / "new"
    count = 100_000 if not sanitized else 20_000
    for number in range(1, count):
        (new / f"{number}.V{number}.h,S=2,W=3").touch()
    with instance:
        begin = time.monotonic()
        talk = login(instance)
        assert time.monotonic() - begin < (2 if not sanitized else 5)
        assert all(resident_kb(pid) < (64 << 10 if not sanitized else 256 << 10)
                   for role in ("pop3d", "mailbox") for pid in instance.pids(role))
        talk.command("STAT", f"+OK {count} {3 * count}")
        talk.command("RETR 1", "+OK")
        assert multiline(talk) == ["x"]
        talk.command("QUIT", "+OK")


def test_wrong_password_and_unknown_user_say_the_same(make_instance):
    """Each from an address of its own: the delays of an address are not what is looked at."""
    with make_instance(limits={"auth_delay_first": 1, "auth_delay_most": 1}) as instance:
        talks = []
        for user in ("alice@example.test", "nobody@example.test", "x" * 200, "..", "a/b"):
            talk = harness.Talk(socket.create_connection(("127.0.0.1", instance.pop3_port),
                                                         harness.DEADLINE,
                                                         (f"127.0.0.{2 + len(talks)}", 0)))
            talk.expect("+OK")
            talk.command(f"USER {user}", "+OK")
            talk.send(b"PASS wrong\r\n")
            talks.append(talk)
        answers = {talk.line() for talk in talks}
        assert len(answers) == 1 and answers.pop().startswith("-ERR [AUTH]")


def test_no_password_is_ever_logged(make_instance):
    instance = make_instance(settings="log_level = debug")
    with instance:
        for word in ("secret", "Wr0ngPassw0rd"):
            talk = harness.connect(instance.pop3_port)
            talk.expect("+OK")
            talk.command("USER alice@example.test", "+OK")
            talk.send(f"PASS {word}\r\nQUIT\r\n".encode())
            while talk.line() is not None:
                pass
    text = "\n".join(instance.log_lines)
    assert "Wr0ngPassw0rd" not in text
    # "secret=-" is the field of a message whose value is not shown.
    assert "secret" not in text.replace("secret-", "").replace("secret=-", "")


def test_brute_force_of_one_account_leaves_others_alone(make_instance):
    instance = make_instance(users=[("alice@example.test", "secret"), ("bob@example.test", "word")],
                             limits={"auth_delay_first": 1, "auth_delay_most": 1})
    with instance:
        attackers = []
        for number in range(30):
            raw = socket.create_connection(("127.0.0.1", instance.pop3_port))
            raw.sendall(b"USER alice@example.test\r\nPASS guess%d\r\n" % number)
            attackers.append(raw)
        begin = time.monotonic()
        talk = login(instance, "bob@example.test", "word")
        talk.command("QUIT", "+OK")
        assert time.monotonic() - begin < 20
        for raw in attackers:
            raw.close()


def test_the_delivered_file_name_carries_its_sizes(instance):
    instance.send(b"Subject: sizes\r\n\r\nbody\r\n")
    instance.wait_queue_empty()
    path = pathlib.Path(instance.delivered()[0])
    octets = path.read_bytes()
    crlf = len(octets) + octets.count(b"\n")
    assert f",S={len(octets)}," in path.name + "," and f",W={crlf}" in path.name
    assert octets.startswith(b"Return-Path: <bob@example.org>\nDelivered-To: alice@example.test\n")


def test_messages_are_numbered_as_they_came(instance):
    for number in range(20):  # several in a second
        instance.send(b"Subject: %02d\r\n\r\n" % number)
    instance.wait_queue_empty()
    found = [message.partition(b"\r\nSubject: ")[2][:2] for message in instance.fetch_all()]
    assert found == [b"%02d" % number for number in range(20)]
