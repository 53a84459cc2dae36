#!/usr/bin/python3
"""Sends every message of an archive over SMTP, fetches all over POP3, compares octet by octet.

    tests/roundtrip/roundtrip.py ARCHIVE|DIRECTORY

Not part of the suite: a tool for collections of real and malformed mail. A message is sent as it is
once its line ends are CR LF (a lone LF is one; a lone CR can not travel over SMTP at all and is
counted apart). Every message must come back with every octet behind our own fields unchanged, LIST
must tell the size RETR gives, UIDLs must differ. Each exception is named with its reason.
"""
import argparse
import hashlib
import os
import pathlib
import re
import sys
import tarfile
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("VEREDUS_BUILD", str(HERE.parent.parent / "build"))
import harness  # noqa: E402


def messages_of(source):
    """(name, octets) of every file of a tar archive or a directory."""
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            yield str(path.relative_to(source)), path.read_bytes()
        return
    with tarfile.open(source) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


def wire_form(octets):
    """The message as SMTP carries it, or None when a bare CR makes that impossible."""
    wire = re.sub(rb"\r?\n", b"\r\n", octets)
    if re.search(rb"\r(?!\n)", wire):
        return None
    return wire if not wire or wire.endswith(b"\r\n") else wire + b"\r\n"


def send_all(instance, source, tally):
    """Sends them on one connection; returns {digest of the wire form: [names]}."""
    sent = {}
    talk = harness.connect(instance.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    for name, octets in messages_of(source):
        wire = wire_form(octets)
        if wire is None:
            tally["bare CR"].append(name)
            continue
        talk.command("MAIL FROM:<sender@example.org> BODY=8BITMIME", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("DATA", "354")
        talk.send(harness.dot_stuff(wire) + b".\r\n")
        reply = talk.reply()
        if reply.startswith("250"):
            sent.setdefault(hashlib.sha256(wire).hexdigest(), []).append(name)
        else:
            tally[reply].append(name)
    talk.command("QUIT", "221")
    return sent


def fetch_all(instance, tally):
    """{digest of what came back: how often}."""
    client = instance.pop3()
    sizes = dict(map(int, line.split()) for line in client.list()[1])
    uidls = {line.split()[1] for line in client.uidl()[1]}
    if len(uidls) != len(sizes):
        tally["UIDLs that are not unique"].append(f"{len(uidls)} of {len(sizes)}")
    got = {}
    for number, size in sizes.items():
        client._putcmd(f"RETR {number}")
        client._getresp()
        whole = bytearray()
        while (line := client.file.readline()) != b".\r\n":
            whole += line[1:] if line.startswith(b"..") else line
        if len(whole) != size:
            tally["LIST differs from RETR"].append(f"message {number}: {size}, {len(whole)}")
        digest = hashlib.sha256(harness.without_trace(bytes(whole))).hexdigest()
        got[digest] = got.get(digest, 0) + 1
    client.quit()
    return got


class Tally(dict):
    def __missing__(self, key):
        self[key] = []
        return self[key]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    source = parser.parse_args().source
    tally = Tally()
    with tempfile.TemporaryDirectory() as place:
        with harness.Instance(pathlib.Path(place) / "instance") as instance:
            sent = send_all(instance, source, tally)
            count = sum(map(len, sent.values()))
            harness.wait_until(lambda: len(instance.delivered()) >= count, "all delivered", 300)
            got = fetch_all(instance, tally)
    same = sum(min(len(names), got.get(digest, 0)) for digest, names in sent.items())
    for digest, names in sent.items():
        if got.get(digest, 0) < len(names):
            tally["changed or lost"].extend(names)
    print(f"{count} accepted, {sum(got.values())} fetched, {same} unchanged to the octet")
    for reason, names in tally.items():
        print(f"{len(names)} x {reason}:")
        for name in names:
            print(f"    {name}")
    return 0 if same == count == sum(got.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
