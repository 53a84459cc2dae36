"""Everything at once: kills, stops, reloads, failing disks and a murdered master, under load.

VEREDUS_CHAOS_SECONDS says for how long: `make test` gives it five minutes, an hour is a night's work.
"""
import contextlib
import os
import random
import signal
import threading
import time

import harness
from fates import check_fates, injected, settle, try_send

SECONDS = int(os.environ.get("VEREDUS_CHAOS_SECONDS", "20"))
SENDERS = 4
# What one kill can leave done and not written down: the deliveries of a packet or two.
IN_FLIGHT = 2 * SENDERS


class Load:
    """Senders that never rest, each message with a mark of its own."""

    def __init__(self, instance):
        self.instance = instance
        self.fates = {}
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self.send, args=(f"s{n}",)) for n in range(SENDERS)]

    def send(self, name):
        index = 0
        while not self.ended.is_set():
            mark = f"{name}-{index}"
            self.fates[mark] = code = try_send(self.instance, mark)
            index += 1
            time.sleep(0.02)  # what is sent in five minutes has to be read again

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Chaos:
    """The blows. Each is one method; `strike` chooses."""

    def __init__(self, instance):
        self.instance = instance
        self.dice = random.Random(11)
        self.kills = 0
        self.struck = {}

    def someone(self):
        return self.dice.choice(self.instance.children() or [(None, None)])[0]

    def signal(self, pid, number):
        with contextlib.suppress(ProcessLookupError, TypeError):
            os.kill(pid, number)

    def kill_a_child(self):
        self.signal(self.someone(), signal.SIGKILL)
        self.kills += 1

    def stop_a_child_for_a_while(self):
        pid = self.someone()
        self.signal(pid, signal.SIGSTOP)
        time.sleep(self.dice.uniform(0.1, 0.5))
        self.signal(pid, signal.SIGCONT)

    def reload(self):
        self.instance.process.send_signal(signal.SIGHUP)

    def fail_the_disk(self):
        role = self.dice.choice(["smtpd", "qmgr", "deliver"])
        fault = self.dice.choice(["fdatasync:error=EIO:when=2", "pwritev,pwrite64:error=ENOSPC:when=3",
                                  "write,writev:error=EDQUOT:when=2+7", "openat2:error=ENFILE:when=2",
                                  "fsync:error=EIO:when=1"])
        pids = self.instance.pids(role)[:2]
        # Whoever is asked may be dead by now.
        with contextlib.suppress(AssertionError):
            with injected(pids, fault):
                time.sleep(0.3)

    def kill_master(self):
        self.instance.kill()
        self.kills += len(("smtpd", "qmgr", "deliver"))
        harness.wait_until(self.started, "a new start")

    def started(self):
        try:
            return self.instance.start()
        except AssertionError:
            return None

    def strike(self):
        blow = self.dice.choices(
            [self.kill_a_child, self.stop_a_child_for_a_while, self.reload, self.fail_the_disk,
             self.kill_master], [8, 3, 2, 3, 1])[0]
        self.struck[blow.__name__] = self.struck.get(blow.__name__, 0) + 1
        blow()


def test_mixed_faults_under_load_lose_nothing(make_instance):
    with make_instance(limits={"retry_first": 1, "retry_most": 2}) as instance:
        instance.deaths_expected = True
        chaos = Chaos(instance)
        end = time.monotonic() + SECONDS
        with Load(instance) as load:
            while time.monotonic() < end:
                chaos.strike()
                time.sleep(chaos.dice.uniform(0.3, 1.0))
        settle(instance)
        accepted = [mark for mark, code in load.fates.items() if code == "250"]
        print(f"{chaos.struck}, {len(accepted)} accepted of {len(load.fates)}")
        assert chaos.kills >= SECONDS / 5 and len(accepted) > 5 * SECONDS
        check_fates(instance, load.fates, duplicates=chaos.kills * IN_FLIGHT)
