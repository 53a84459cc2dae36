"""System calls that fail in ways a disk rarely shows: interrupted, beyond a size, out of processes."""
import os
import signal
import subprocess

import pytest

import harness
from fates import check_fates, injected, settle, try_send


@pytest.mark.parametrize("role, calls", [
    ("smtpd", "pwritev,fdatasync,recvfrom,sendto,sendmsg,recvmsg,accept4"),
    ("qmgr", "pwrite64,fdatasync,fsync,openat,sendmsg,recvmsg"),
    ("deliver", "write,writev,pwritev,pwrite64,fsync,openat2,renameat2,pread64,sendmsg,recvmsg"),
])
def test_calls_that_are_interrupted_change_nothing(make_instance, role, calls):
    """Every third of them: a loop that gives up after some tries would show, too."""
    with make_instance(settings="workers = 1", limits={"retry_first": 1, "retry_most": 1}) as instance:
        fates = {}
        with injected(instance.pids(role), f"{calls}:error=EINTR:when=2+3"):
            for number in range(10):
                fates[f"m{number}"] = try_send(instance, f"m{number}")
        settle(instance)
        # EINTR is no lack of space, and a sync is not asked again: then it is 451 and nothing of it
        # is delivered.
        assert set(fates.values()) <= {"250", "451"} and "250" in fates.values()
        check_fates(instance, fates)


def test_a_segment_at_its_size_limit_is_told_and_loses_nothing(make_instance):
    with make_instance(settings="workers = 1") as instance:
        with injected(instance.pids("smtpd"), "pwritev:error=EFBIG:when=1"):
            fates = {"refused": try_send(instance, "refused"), "taken": try_send(instance, "taken")}
        assert fates["refused"][:1] == "4" and fates["taken"] == "250"
        settle(instance)
        check_fates(instance, fates)


def test_no_process_to_be_had_is_waited_for(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        before = instance.pids("lookup")
        with injected([instance.process.pid], "clone,clone3,fork,vfork:error=EAGAIN"):
            os.kill(before[0], signal.SIGKILL)
            instance.wait_log("level=error", "process=master", "Resource temporarily unavailable")
            assert instance.process.poll() is None
        harness.wait_until(lambda: instance.pids("lookup"), "a new lookup")
        failures = instance.log_has("process=master", "Resource temporarily unavailable")
        assert len(failures) < 20, "no storm of forks"
        settle(instance)
        assert try_send(instance, "after") == "250"


def test_a_table_that_can_not_be_written_leaves_the_old_one(make_instance):
    with make_instance() as instance:
        with open(instance.directory / "tables" / "aliases", "a", encoding="ascii") as aliases:
            aliases.write("fresh: alice\n")
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                               "inject=pwrite64,fsync,fdatasync:error=ENOSPC", instance.command, "-c",
                               str(instance.configuration), "table", "build"], capture_output=True,
                              text=True, timeout=harness.DEADLINE, env=harness.environment(), check=False)
        assert done.returncode != 0 and "No space left" in done.stderr, done
        assert try_send(instance, "old table") == "250"
        instance.run_command("table", "build")
        instance.send(b"Subject: x\r\n\r\n", recipients=["fresh@example.test"])
        settle(instance)
