#!/usr/bin/python3
"""make bench: Veredus beside Postfix, in one run, with Postfix's own load generator.

Both get a directory of their own and high ports on loopback; both accept into a discard transport, so
that delivery does not share the cores; each measurement alternates between the two and the ratio is of
medians. Everything is done on the disk at hand and, as root, on ext4 with a journal (a loop device).
"""
import argparse
import os
import pathlib
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
os.environ.setdefault("VEREDUS_BUILD", str(HERE.parent.parent / "build"))
import harness  # noqa: E402
import tls_bench  # noqa: E402
from postfix import Postfix  # noqa: E402

SIZE = 4096
GOALS = {"connection each": 6, "20 open sessions": 8, "1 open session": 3, "Maildir": 5}


class Veredus:
    name = "veredus"

    def __init__(self, directory):
        self.instance = harness.Instance(
            directory, settings='relay_domains = {"sink.test"}\n'
            'route "sink.test" { transport = discard }\n'
            f'log = "{directory}/log"\n')
        self.port = self.instance.smtp_port

    def __enter__(self):
        self.instance.start()
        return self

    def __exit__(self, *ignored):
        self.instance.stop()

    def queue_empty(self):
        return self.instance.status().get("queued") == 0

    def delivered(self):
        new = self.instance.maildir() / "new"
        return len(os.listdir(new)) if new.is_dir() else 0


def load(port, count, sessions, recipient, reuse):
    """Sends with smtp-source; returns messages a second."""
    command = ["/usr/sbin/smtp-source", "-s", str(sessions), "-m", str(count), "-l", str(SIZE),
               "-f", "bench@example.org", "-t", recipient]
    command += ["-d"] if reuse else []
    begin = time.monotonic()
    subprocess.run([*command, f"127.0.0.1:{port}"], check=True, capture_output=True)
    return count / (time.monotonic() - begin)


def accept(server, count, sessions, reuse):
    rate = load(server.port, count, sessions, "x@sink.test", reuse)
    harness.wait_until(server.queue_empty, "an empty queue", 300)
    return rate


def maildir(server, count):
    before = server.delivered()
    begin = time.monotonic()
    load(server.port, count, 20, "alice@example.test", True)
    harness.wait_until(lambda: server.delivered() >= before + count, "all delivered", 300)
    return count / (time.monotonic() - begin)


MEASURES = [
    ("connection each", lambda s, n: accept(s, n, 20, False)),
    ("20 open sessions", lambda s, n: accept(s, n, 20, True)),
    ("1 open session", lambda s, n: accept(s, n, 1, True)),
    ("Maildir", maildir),
]


def compare(servers, rounds, scale):
    """Alternates the servers; prints a row a measure and returns {measure: ratio}."""
    ratios = {}
    for name, measure in MEASURES:
        rates = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                count = int((2000 if server.name == "postfix" else 10000) * scale)
                rates[server.name].append(measure(server, count))
        medians = {key: statistics.median(values) for key, values in rates.items()}
        ratios[name] = medians["veredus"] / medians["postfix"]
        print(f"  {name:18} postfix {medians['postfix']:8.0f}/s   veredus "
              f"{medians['veredus']:8.0f}/s   ratio {ratios[name]:5.2f}   (goal {GOALS[name]})",
              flush=True)
    return ratios


def memory(pids):
    """Octets that these processes hold; of what they share, their part."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
            total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return total * 1024


def idle_clients(server, count, tls):
    """Sessions behind EHLO, of many addresses: one has ports for 28,000 connections at most."""
    context = ssl.create_default_context(cafile=server.instance.directory / "tls" / "cert.pem")
    talks = []
    for number in range(count):
        talk = harness.connect(server.port, source=f"127.0.{number % 100}.1")
        talk.expect("220")
        talk.command("EHLO idle.example.org", "250")
        if tls:
            talk.command("STARTTLS", "220")
            talk = harness.Talk(context.wrap_socket(talk.raw, server_hostname="mx.example.test"))
            talk.command("EHLO idle.example.org", "250")
        talks.append(talk)
    return talks


def idle(server, scale):
    """What ten thousand idle clients cost, and what others get meanwhile. Postfix has a process for
    each of a hundred clients, and no more."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(int(10000 * scale), most - 1000)
    alone = accept(server, int(10000 * scale), 20, True)
    for name, tls, goal in (("in the clear", False, 12), ("with TLS", True, 30)):
        before = memory(server.instance.pids("smtpd"))
        talks = idle_clients(server, count, tls)
        each = (memory(server.instance.pids("smtpd")) - before) / count / 1024
        rate = accept(server, int(10000 * scale), 20, True)
        print(f"  {count} idle {name:13} {each:6.1f} KB each (goal {goal})   others "
              f"{rate:8.0f}/s, alone {alone:8.0f}/s", flush=True)
        for talk in talks:
            talk.raw.close()
        harness.wait_until(lambda: server.instance.status().get("sessions") == 0, "all gone")


def ceiling(scale):
    """smtp-source into smtp-sink, which stores nothing."""
    base, claim = harness.claim_ports()
    port = base + 25
    sink = subprocess.Popen(["/usr/sbin/smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "200"],
                            stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: Postfix.answers(argparse.Namespace(port=port)), "smtp-sink")
        for name, reuse in (("connection each", False), ("20 open sessions", True)):
            rate = load(port, int(20000 * scale), 20, "x@sink.test", reuse)
            print(f"  {name:18} smtp-source into smtp-sink {rate:8.0f}/s", flush=True)
    finally:
        sink.terminate()
        sink.wait()
        claim.close()


def measure_in(directory, arguments):
    with Postfix(directory / "postfix") as postfix, Veredus(directory / "veredus") as veredus:
        compare([postfix, veredus], arguments.rounds, arguments.scale)
        idle(veredus, arguments.scale)


def with_journal(arguments):
    """The same on ext4 with a journal, in a file of 2 GiB mounted through a loop device."""
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        image, mount = pathlib.Path(place) / "image", pathlib.Path(place) / "mount"
        mount.mkdir()
        with open(image, "wb") as file:
            file.truncate(2 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "has_journal", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
        try:
            os.chmod(place, 0o755)
            measure_in(mount, arguments)
        finally:
            subprocess.run(["umount", str(mount)], check=True)


def in_place(measure, arguments):
    with tempfile.TemporaryDirectory(dir=arguments.directory) as place:
        os.chmod(place, 0o755)
        measure(pathlib.Path(place), arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer messages")
    parser.add_argument("--directory", default=tempfile.gettempdir())
    parser.add_argument("--no-journal", action="store_true", help="only the disk at hand")
    parser.add_argument("--only-tls", action="store_true", help="only what is under TLS")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: Postfix can only be run by root")
    print(f"{SIZE} octets a message, {os.cpu_count()} cores", flush=True)
    if not arguments.only_tls:
        print("the ceiling:", flush=True)
        ceiling(arguments.scale)
        print("on the disk at hand:", flush=True)
        in_place(measure_in, arguments)
    print("under TLS, on the disk at hand:", flush=True)
    in_place(lambda place, given: tls_bench.measure_in(place, Veredus, given), arguments)
    if not arguments.no_journal and not arguments.only_tls:
        print("on ext4 with a journal:", flush=True)
        with_journal(arguments)


if __name__ == "__main__":
    main()
