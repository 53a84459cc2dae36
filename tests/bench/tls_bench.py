"""The part of make bench that is under TLS: Veredus and Postfix with one certificate, by STARTTLS.

The load comes from tls_source.c, which costs a client's share of each handshake on the same cores: the
rates of both servers contain it.
"""
import contextlib
import os
import pathlib
import statistics
import subprocess

import harness
from postfix import Postfix

HERE = pathlib.Path(__file__).resolve().parent
IDLE = {"veredus": 10000, "postfix": 90}  # Postfix takes 100 clients at once, a process each


def build_source(directory):
    program = pathlib.Path(directory) / "tls_source"
    subprocess.run(["gcc", "-O2", "-std=c11", "-D_GNU_SOURCE", "-o", str(program),
                    str(HERE / "tls_source.c"), "-lssl", "-lcrypto"], check=True)
    return program


def postfix_with(certificates, directory):
    """A Postfix that serves the certificate in that folder."""
    return Postfix(directory, {
        "smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "0",
        "smtpd_tls_chain_files": f"{certificates}/key.pem, {certificates}/cert.pem"})


def resident_kb(pids):
    """What these processes occupy, shared pages counted once among all who share them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in open(f"/proc/{pid}/smaps_rollup", encoding="ascii"):
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def smtpd_pids(server):
    if server.name == "veredus":
        return server.instance.pids("smtpd")
    master = int((server.dir / "queue" / "pid" / "master.pid").read_text())
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit()
            and is_smtpd_of(master, pathlib.Path("/proc") / pid)]


def is_smtpd_of(master, entry):
    try:
        parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        return parent == master and (entry / "cmdline").read_bytes().startswith(b"smtpd\0")
    except (OSError, ValueError):
        return False


def rate(source, server, count, sessions, reuse):
    """Messages a second, and the queue is empty again."""
    begin = harness.time.monotonic()
    subprocess.run([str(source), str(server.port), str(count), str(sessions), "x@sink.test",
                    *(["reuse"] if reuse else [])], check=True)
    took = harness.time.monotonic() - begin
    harness.wait_until(server.queue_empty, "an empty queue", 300)
    return count / took


@contextlib.contextmanager
def idle_sessions(source, server, count):
    holder = subprocess.Popen([str(source), str(server.port), "idle", str(count)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "open\n"
        yield
    finally:
        holder.stdin.close()
        holder.wait()


def compare_rates(source, servers, rounds, scale):
    for name, reuse in (("handshake each", False), ("20 open sessions", True)):
        medians = {}
        for server in servers:
            count = int((1000 if server.name == "postfix" else 4000) * scale) // 20 * 20
            medians[server.name] = statistics.median(
                rate(source, server, count, 20, reuse) for _ in range(rounds))
        print(f"  {name:18} postfix {medians['postfix']:8.0f}/s   veredus "
              f"{medians['veredus']:8.0f}/s   ratio {medians['veredus'] / medians['postfix']:5.2f}",
              flush=True)


def compare_idle(source, servers, scale):
    for server in servers:
        count = max(int(IDLE[server.name] * min(scale, 1)), 10)
        before = resident_kb(smtpd_pids(server))
        with idle_sessions(source, server, count):
            each = (resident_kb(smtpd_pids(server)) - before) / count
            line = f"  {count:6} idle         {server.name:8} {each:8.1f} KB each"
            if server.name == "veredus":
                line += f"   beside them {rate(source, server, int(4000 * scale), 20, True):.0f}/s"
            print(line, flush=True)


def measure_in(directory, veredus_class, arguments):
    source = build_source(directory)
    with veredus_class(directory / "veredus") as veredus:
        certificates = veredus.instance.directory / "tls"
        with postfix_with(certificates, directory / "postfix") as postfix:
            compare_rates(source, [postfix, veredus], arguments.rounds, arguments.scale)
            compare_idle(source, [postfix, veredus], arguments.scale)
