"""File systems that are really full, of octets or of inodes."""
import os
import subprocess

import pytest

import harness

pytestmark = pytest.mark.root  # for mount(8)


def fill(path):
    """Leaves not an octet free."""
    with open(path, "wb", buffering=0) as hog:
        try:
            while True:
                hog.write(bytes(4096))
        except OSError:
            pass


def subjects(server):
    return sorted(line for path in server.delivered() for line in path.read_text().splitlines()
                  if line.startswith("Subject: "))


def expected(count):
    return sorted(f"Subject: {k:03}" for k in range(count))


def settled(server, count):
    """Waits for so many; then for a second copy, which must not come."""
    harness.wait_until(lambda: len(server.delivered()) >= count, f"{count} delivered")
    server.wait_queue_empty()


@pytest.mark.parametrize("what", ["octets", "inodes"])
def test_a_full_mail_store_defers_and_resumes(make_instance, mounted, what):
    server = make_instance(limits={"retry_first": 1, "retry_most": 2})
    mail = server.directory / "mail"
    mounted(mail, "size=4m" if what == "octets" else "size=40m,nr_inodes=20")
    with server:
        if what == "octets":
            fill(mail / "hog")
        for k in range(40):
            server.send(f"Subject: {k:03}\r\n\r\n".encode() + b"x" * 500 + b"\r\n")
        server.wait_log("event=recipient-deferred", "4.3.1")
        if what == "octets":
            os.unlink(mail / "hog")
        else:
            subprocess.run(["mount", "-o", "remount,nr_inodes=1000", str(mail)], check=True)
        settled(server, 40)
        assert subjects(server) == expected(40)
        assert not list((server.maildir() / "tmp").iterdir())


def test_a_full_spool_says_452_keeps_what_it_took_and_resumes(make_instance, mounted):
    server = make_instance()
    spool = server.directory / "spool"
    mounted(spool, "size=40m")
    with server:
        server.send(b"Subject: 000\r\n\r\n")
        server.wait_queue_empty()
        fill(spool / "hog")
        with pytest.raises(AssertionError, match="452 4.3.1"):
            server.send(b"Subject: 999\r\n\r\n" + b"x" * 70 + b"\r\n" * 2_000_000)
        os.unlink(spool / "hog")
        sent = [1]

        def resumed():
            try:
                server.send(b"Subject: %03d\r\n\r\n" % sent[0])
            except AssertionError:
                return False
            sent[0] += 1
            return sent[0] == 10
        harness.wait_until(resumed, "mail is taken again")
        settled(server, 10)
        assert subjects(server) == expected(10)


def test_a_table_without_room_stays_the_old_one_and_leaves_nothing_beside_it(make_instance, mounted):
    server = make_instance()
    tables = server.directory / "tables"
    files = {path.name: path.read_bytes() for path in tables.iterdir()}
    mounted(tables, "size=256k")
    for name, octets in files.items():
        (tables / name).write_bytes(octets)
    fill(tables / "hog")
    before = {path.name: path.read_bytes() for path in tables.iterdir()}
    done = server.run_command("table", "build", check=False)
    assert done.returncode != 0 and "No space left" in done.stderr, done
    assert {path.name: path.read_bytes() for path in tables.iterdir()} == before
    (tables / "hog").unlink()
    server.run_command("table", "build")
