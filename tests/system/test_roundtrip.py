"""200 different messages go in over SMTP and come out over POP3, octet for octet."""
import random

import harness


def generated_messages(count=200):
    """Different shapes, each more than once with different octets: {index: octets}."""
    dice = random.Random(7)

    def text(lines, alphabet):
        return b"".join(bytes(dice.choice(alphabet) for _ in range(dice.randrange(0, 78))) + b"\r\n"
                        for _ in range(lines))

    ascii_octets = bytes(range(32, 127))
    high_octets = bytes(range(128, 256)) + b"\t "
    shapes = [
        lambda: text(dice.randrange(1, 60), ascii_octets),
        lambda: text(20, high_octets),
        lambda: b".\r\n..\r\n...\r\n.x\r\n" * dice.randrange(1, 5),
        lambda: b"",
        lambda: b"\r\n" * dice.randrange(1, 50),
        lambda: bytes(dice.choice(ascii_octets) for _ in range(dice.randrange(999, 20000))) + b"\r\n",
        lambda: b"From someone\r\n>From quoted\r\n" + text(3, ascii_octets),
        lambda: b"a\0b\r\n" + bytes(b for b in range(1, 32) if b not in (10, 13)) + b"\r\n",
        lambda: text(dice.randrange(200, 2000), ascii_octets),
    ]
    messages = []
    for index in range(count - 3):
        body = shapes[index % len(shapes)]()
        messages.append(b"Subject: message %d\r\nX-Number: %d\r\n\r\n" % (index, index) + body)
    messages.append(b"no header at all\r\n")
    messages.append(b"Subject: only a header\r\n")
    messages.append(b"Subject: ten megabytes\r\n\r\n" + (b"0123456789" * 7 + b"\r\n") * 145_000)
    return messages


def test_200_messages_come_out_as_they_went_in(instance):
    messages = generated_messages()
    assert len(set(messages)) == len(messages) == 200
    for message in messages:
        instance.send(message)
    instance.wait_queue_empty()

    client = instance.pop3()
    listed = {int(n): int(size) for n, size in (line.split() for line in client.list()[1])}
    uidls = [line.split()[1] for line in client.uidl()[1]]
    assert len(listed) == 200 and len(set(uidls)) == 200
    fetched = {}
    for number, size in listed.items():
        whole = b"".join(line + b"\r\n" for line in client.retr(number)[1])
        assert len(whole) == size, f"message {number}: LIST says {size}, RETR gave {len(whole)}"
        fetched[harness.without_trace(whole)] = number
    client.quit()
    for index, message in enumerate(messages):
        assert message in fetched, f"message {index} changed or is missing: {message[:80]!r}"


def test_a_message_without_a_final_line_end_gets_one(instance):
    instance.send(b"Subject: cut\r\n\r\nno end")
    instance.wait_queue_empty()
    assert harness.without_trace(instance.fetch_all()[0]).endswith(b"no end\r\n")
