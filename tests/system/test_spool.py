"""The spool as a whole: space comes back, large letters stream, numbers are used once."""
import random
import shutil
import socket
import threading

import harness

BODY = b"Subject: one of many\r\n\r\n" + (b"z" * 70 + b"\r\n") * 110


def send_many(instance, count):
    """Sends `count` messages over one session."""
    with socket.create_connection(("127.0.0.1", instance.smtp_port), harness.DEADLINE) as raw:
        talk = harness.Talk(raw)
        talk.expect("220")
        talk.command("EHLO client.example.org", "250")
        for _ in range(count):
            talk.send(b"MAIL FROM:<bob@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n")
            for prefix in ("250", "250", "354"):
                talk.expect(prefix)
            talk.send(BODY + b".\r\n")
            talk.expect("250")


def spool_octets(instance):
    """What the spool takes on the disk."""
    total = 0
    for path in (instance.directory / "spool").rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def test_space_comes_back_and_nothing_is_delivered_again(make_instance):
    count, most = 2000, 12 << 20
    assert count * len(BODY) > most
    instance = make_instance(settings='workers = 1\nsegment_size = "1M"')
    with instance:
        senders = [threading.Thread(target=send_many, args=(instance, count // 4))
                   for _ in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        instance.wait_queue_empty()
        harness.wait_until(lambda: spool_octets(instance) < most, "space to come back")
        delivered = instance.delivered()
        assert len(delivered) == count
    for path in delivered:
        path.unlink()
    with instance:
        harness.wait_until(lambda: instance.log_has("event=spool-recovered"), "recovery")
        instance.send(b"Subject: the next one\r\n\r\n")
        instance.wait_queue_empty()
        assert len(instance.delivered()) == 1
        assert instance.status()["deferred"] == 0


def resident(pid, field):
    """VmRSS or VmHWM of a process, in octets."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def large_message(size):
    """Lines of all lengths, some with dots in front."""
    dice = random.Random(3)
    lines = [b"Subject: large\r\n", b"\r\n"]
    length = 0
    while length < size:
        line = b"." * dice.randrange(0, 3) + dice.randbytes(400).hex().encode()
        lines.append(line[:dice.randrange(0, 800)] + b"\r\n")
        length += len(lines[-1])
    return b"".join(lines)


def keep_nothing_freed(monkeypatch):
    """The address sanitizer keeps what was freed for a while: that is not the server's memory."""
    environment = harness.environment()
    environment["ASAN_OPTIONS"] += ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    monkeypatch.setattr(harness, "environment", lambda: environment)


def test_large_message_streams_and_arrives_whole(make_instance, monkeypatch):
    keep_nothing_freed(monkeypatch)
    message = large_message(60 << 20)
    with make_instance(settings="workers = 1", limits={"message_size": '"80M"'}) as instance:
        instance.send(b"Subject: to warm up\r\n\r\n")
        instance.wait_queue_empty()
        [pid] = instance.pids("smtpd")
        before = resident(pid, "VmRSS")
        instance.send(message)
        grown = resident(pid, "VmHWM") - before
        assert grown < 16 << 20
        instance.wait_queue_empty()
        [large] = [m for m in instance.fetch_all() if len(m) > 1 << 20]
        assert harness.without_trace(large) == message


def number_of(queue_id):
    """The segment's number: a queue id is number and offset (20 bits) in base 32."""
    value = 0
    for digit in queue_id:
        value = value * 32 + "0123456789ABCDFGHJKLMNPQRSTVWXYZ".index(digit)
    return value >> 20


def segment_number(name):
    return number_of(name.split(".")[0] + "0000")


def test_numbers_are_never_used_again_after_the_spool_was_emptied(make_instance):
    instance = make_instance()
    queue = instance.directory / "spool" / "queue"
    highest = 0
    for next_is_left in (True, False, True):
        with instance:
            for _ in range(3):
                number = number_of(instance.send(b"Subject: x\r\n\r\n"))
                assert number > highest
            instance.wait_queue_empty()
            names = [p.name for p in queue.iterdir() if p.suffix in (".seg", ".free", ".state")]
        highest = max([number] + [segment_number(name) for name in names])
        kept = (queue / "next").read_bytes()
        shutil.rmtree(queue)
        queue.mkdir(mode=0o700)
        if next_is_left:
            (queue / "next").write_bytes(kept)
