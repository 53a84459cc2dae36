"""Memory that runs out at one allocation. See failing_malloc.c for how that is done."""
import contextlib
import mmap
import os
import pathlib
import random
import signal
import smtplib
import struct
import subprocess

import pytest

import harness
from fates import check_fates, marks_of, settle, try_send

# The n-th allocation from now on; by the handful, because each death makes the next start later.
ALLOCATIONS = [(1, 2, 3, 5), (7, 9, 12, 16), (20, 25, 30, 40)]


class Countdown:
    """What the processes of one role share: how many allocations it is until the one that fails."""

    def __init__(self, path):
        path.write_bytes(bytes(8))
        with open(path, "r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 8)

    def start(self, number):
        self.shared[:] = struct.pack("q", number)

    def is_over(self):
        return struct.unpack("q", self.shared[:])[0] <= 0


@pytest.fixture
def countdown_of(tmp_path, monkeypatch):
    """A function that gives a role's countdown, for instances that are made behind it."""
    library = tmp_path / "failing_malloc.so"
    source = pathlib.Path(__file__).with_name("failing_malloc.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-fno-builtin", "-Wall", "-Wextra", "-Werror",
                    "-D_GNU_SOURCE", "-o", str(library), str(source), "-ldl"], check=True)
    environment = harness.environment()
    environment["LD_PRELOAD"] = str(library)
    environment["FAILING_MALLOC"] = str(tmp_path)
    environment["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
    monkeypatch.setattr(harness, "environment", lambda: environment)
    return lambda role: Countdown(tmp_path / role)


def keep_lookup_busy(instance):
    """It allocates when it opens tables, which it does when they changed and somebody asks; smtpd
    remembers for a moment what it said of alice."""
    instance.run_command("table", "build")
    with contextlib.suppress(OSError, smtplib.SMTPException), instance.smtp() as talk:
        talk.sendmail("a@example.org", [f"nobody{random.getrandbits(40)}@example.test"], b"x\r\n")


def hurt(instance, role, countdown, number):
    """Sends until that allocation has failed and mail is taken again: what became of each letter.

    What was accepted is delivered then: one that three deliverers die of would be set aside.
    """
    fates = {}

    def is_over():
        mark = f"{number}-{len(fates)}"
        fates[mark] = try_send(instance, mark)
        if role == "lookup":
            keep_lookup_busy(instance)
        return countdown.is_over() and fates[mark] == "250"
    countdown.start(number)
    harness.wait_until(is_over, f"allocation {number} to fail, and mail to be taken again")

    def all_delivered():  # not by the gauges, which are 0 while there is no qmgr
        counts = marks_of(instance)
        return all(counts[mark] for mark, code in fates.items() if code == "250")
    harness.wait_until(all_delivered, "what was accepted to be delivered")
    return fates


def reload(instance, generation):
    """A new generation starts without the old one's delays."""
    instance.process.send_signal(signal.SIGHUP)
    instance.wait_log("process=master", "event=ready", f"generation={generation}")


@pytest.mark.parametrize("role", ["smtpd", "lookup", "qmgr", "deliver"])
def test_out_of_memory_at_any_allocation_loses_and_halves_nothing(make_instance, countdown_of, role):
    countdown = countdown_of(role)
    with make_instance(settings="workers = 1", limits={"retry_first": 1, "retry_most": 1}) as instance:
        instance.deaths_expected = True
        fates = {}
        for generation, numbers in enumerate(ALLOCATIONS, 2):
            for number in numbers:
                fates.update(hurt(instance, role, countdown, number))
            reload(instance, generation)
        settle(instance)
        check_fates(instance, fates)
        assert not [code for code in fates.values() if code.startswith("5")], "it is no fault of the letter's"
        # A death for each: by fatal() and nothing else, and only of those who were hurt.
        died = instance.log_has("event=child-died")
        assert len(died) == sum(map(len, ALLOCATIONS))
        said = (f"process={role}", "event=fatal", "out of memory")
        harness.wait_until(lambda: len(instance.log_has(*said)) >= len(died), "their last words")
        assert len(instance.log_has(*said)) == len(died)
        for line in died:
            assert f"role={role} " in line and line.endswith(f"exit={os.EX_OSERR}"), line
