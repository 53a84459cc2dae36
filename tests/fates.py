"""Sends messages that each carry a mark of their own, hurts daemons, and checks what became of the mail.

What must hold is always the same: a 250 ends as delivered, once; what was refused is never delivered;
nothing appears in part.
"""
import collections
import contextlib
import random
import re
import signal
import subprocess
import time

import harness


@contextlib.contextmanager
def injected(pids, injection):
    """strace with `injection` on the processes; attached when the block begins."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=" + injection]
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)

    def attached():
        if tracer.poll() == 0:
            return True  # the call was under way already, and all are dead
        assert tracer.poll() is None, tracer.stderr.read()
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return all(re.search(r"TracerPid:\s+[1-9]", open(f"/proc/{p}/status").read())
                       for p in pids)
        return False
    harness.wait_until(attached, "strace attached")
    try:
        yield tracer
    finally:
        tracer.send_signal(signal.SIGINT)
        try:
            tracer.wait(2)
        except subprocess.TimeoutExpired:  # strace waits for ever for a thread that died unseen
            tracer.kill()
            tracer.wait()
        tracer.stderr.close()


def try_send(instance, mark):
    """Sends a message with a unique mark: "250", another code, or "" when the session broke."""
    try:
        talk = harness.connect(instance.smtp_port)
        talk.expect("220")
        talk.command("EHLO client.example.org", "250")
        talk.command("MAIL FROM:<a@example.org>", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("DATA", "354")
        talk.send(body_of(mark) + b".\r\n")
        reply = talk.reply()
        talk.raw.close()
        return reply[:3]
    except (AssertionError, OSError):
        return ""


def body_of(mark):
    return b"X-Mark: %s\r\nSubject: x\r\n\r\n" % mark.encode() + (b"y" * 70 + b"\r\n") * 40 + b"end\r\n"


def marks_of(instance):
    """How often each mark was delivered; fails on a message that is there in part."""
    counts = collections.Counter()
    for path in instance.delivered():
        text = path.read_bytes()
        match = re.search(rb"\nX-Mark: (\S+)\n", text)
        assert match and text.endswith(b"y\nend\n"), f"in part: {text[:200]!r}"
        counts[match.group(1).decode()] += 1
    return counts


def settle(instance):
    """Waits until mail is taken again and everything queued is delivered."""
    harness.wait_until(lambda: try_send(instance, "settle-%d" % random.getrandbits(60)) == "250",
                       "mail to be accepted again")

    def nothing_put_off():
        values = instance.status()
        return values.get("queued") == 0 and values.get("deferred") == 0
    harness.wait_until(nothing_put_off, "everything to be delivered")


def marks_in_the_end(instance, accepted):
    """The marks when all the accepted ones are there, or at the deadline: qmgr hears of a letter a
    moment after the client does, and an empty queue may have been one that was not told of it yet."""
    end = time.monotonic() + harness.DEADLINE
    while True:
        counts = marks_of(instance)
        if all(counts[mark] for mark in accepted) or time.monotonic() > end:
            return counts
        time.sleep(0.2)


def check_fates(instance, fates, duplicates=0):
    """What `fates` says against the mailbox; for a server that has settled."""
    counts = marks_in_the_end(instance, [mark for mark, code in fates.items() if code == "250"])
    for mark, code in fates.items():
        if code == "250":
            assert counts[mark] >= 1, f"lost: {mark}"
        elif code.startswith(("4", "5")):
            assert counts[mark] == 0, f"refused and yet delivered: {mark}"
    extra = sum(n - 1 for m, n in counts.items() if n > 1)
    assert extra <= duplicates, f"{extra} duplicates"
