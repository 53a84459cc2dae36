"""Whoever owns the mail user plants links and pipes in the mailboxes."""
import contextlib
import os
import shutil
import time

import pytest


def away(path):
    """At once: a delivery tried meanwhile makes what it misses anew, never in what is going away."""
    gone = path.with_name(path.name + "-gone")
    with contextlib.suppress(FileNotFoundError):
        path.rename(gone)
        if gone.is_symlink() or not gone.is_dir():
            gone.unlink()
        else:
            shutil.rmtree(gone)


def box_link(box, outside):
    away(box)
    box.symlink_to(outside)


def part_link(part):
    def plant(box, outside):
        away(box / part)
        (box / part).symlink_to(outside / part)
    return plant


def part_pipe(part):
    def plant(box, outside):
        away(box / part)
        os.mkfifo(box / part)
    return plant


def box_file(box, outside):
    away(box)
    box.write_text("no directory")


TRICKS = {"box-link": box_link, "box-file": box_file, "new-link": part_link("new"),
          "tmp-link": part_link("tmp"), "new-pipe": part_pipe("new"), "tmp-pipe": part_pipe("tmp")}


@pytest.mark.parametrize("trick", sorted(TRICKS))
def test_mail_for_a_planted_mailbox_waits_and_nothing_is_written_outside(make_instance, tmp_path,
                                                                         trick):
    outside = tmp_path / "outside"
    for part in ("new", "cur", "tmp"):
        (outside / part).mkdir(parents=True)
    users = [("alice@example.test", "secret"), ("bob@example.test", "secret")]
    with make_instance(users=users, limits={"retry_first": 1, "retry_most": 2}) as server:
        server.send(b"Subject: before\r\n\r\n")
        server.wait_queue_empty()
        box = server.maildir()
        TRICKS[trick](box, outside)
        server.send(b"Subject: planted\r\n\r\n")
        server.wait_log("event=recipient-deferred", "to=alice@example.test")
        server.send(b"Subject: other\r\n\r\n", recipients=["bob@example.test"])
        server.wait_log("event=recipient-delivered", "to=bob@example.test")
        with pytest.raises(Exception, match="SYS/"):
            server.pop3()
        assert not [path for path in outside.rglob("*") if not path.is_dir()]
        away(box)  # the operator repairs it
        server.wait_log("event=recipient-delivered", "to=alice@example.test")
        second = lambda: [path for path in server.delivered() if b"planted" in path.read_bytes()]
        end = time.monotonic() + 20
        while not second() and time.monotonic() < end:
            time.sleep(0.1)
        assert len(second()) == 1


@pytest.mark.parametrize("kind", ["pipe", "link", "directory"])
def test_a_lock_that_is_no_file_fails_the_login_and_hangs_nobody(make_instance, kind):
    users = [("alice@example.test", "secret"), ("bob@example.test", "secret")]
    with make_instance(users=users) as server:
        server.pop3().quit()
        lock = server.maildir() / "veredus-pop3.lock"
        away(lock)
        if kind == "pipe":
            os.mkfifo(lock)
        elif kind == "link":
            lock.symlink_to("/etc/hostname")
        else:
            lock.mkdir()
        before = time.monotonic()
        with pytest.raises(Exception, match="SYS/"):
            server.pop3()
        assert time.monotonic() - before < 5
        server.pop3("bob@example.test").quit()
