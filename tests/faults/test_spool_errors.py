"""Files of the spool that can not be read or written for a while, or are gone."""
import contextlib
import os
import signal
import subprocess
import time

import pytest

import harness
from fates import check_fates, injected, settle, try_send


def spool_files(instance, folder, suffix=""):
    return [path for path in (instance.directory / "spool" / folder).iterdir()
            if path.name.endswith(suffix)]


def test_read_errors_that_pass_cost_no_letter(make_instance):
    with make_instance(limits={"retry_first": 1, "retry_most": 1}) as instance:
        fates = {}
        with injected(instance.pids("qmgr"), "pread64:error=EIO"):
            for index in range(5):
                fates[f"m{index}"] = try_send(instance, f"m{index}")
            instance.wait_log("level=error", "event=segment-not-readable")
            assert not instance.delivered()
        harness.wait_until(lambda: len(instance.delivered()) >= 5, "the letters to be read")
        settle(instance)
        check_fates(instance, fates)
        assert list(fates.values()) == ["250"] * 5
        assert not spool_files(instance, "corrupt")
        assert not instance.log_has("event=record-corrupt")


@contextlib.contextmanager
def unopenable(paths):
    """Nobody, not even root, can open them for writing."""
    for path in paths:
        subprocess.run(["mount", "--bind", str(path), str(path)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(path)], check=True)
    try:
        yield
    finally:
        for path in paths:
            subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.root  # for mount(8)
def test_a_segment_that_can_not_be_opened_ends_the_start_and_its_letters_come_later(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        assert try_send(instance, "first") == "250"
        settle(instance)
        fates = {"first": "250"}
        with unopenable(spool_files(instance, "queue", ".seg")):
            os.kill(instance.pids("qmgr")[0], signal.SIGKILL)
            for index in range(5):
                fates[f"m{index}"] = try_send(instance, f"m{index}")
            instance.wait_log("event=segment-not-readable")
            instance.wait_log("event=child-died", "role=qmgr", f"exit={os.EX_IOERR}")
        settle(instance)
        harness.wait_until(lambda: len(instance.delivered()) >= 7, "the letters to be read")
        check_fates(instance, fates)
        assert list(fates.values()) == ["250"] * 6


def test_state_files_that_are_gone_are_made_anew(make_instance):
    instance = make_instance()
    with instance:
        fates = {}
        for index in range(20):
            fates[f"m{index}"] = try_send(instance, f"m{index}")
            if index % 5 == 0:
                for path in spool_files(instance, "queue", ".state"):
                    path.unlink(missing_ok=True)
        settle(instance)
        instance.wait_log("event=spool-state-lost")
        before = time.monotonic()
        instance.stop()
        assert time.monotonic() - before < 8, "the drain waits for nothing"
    with instance:
        harness.wait_until(lambda: instance.log_has("event=spool-recovered"), "recovery")
        settle(instance)
        check_fates(instance, fates)
        assert list(fates.values()) == ["250"] * 20
