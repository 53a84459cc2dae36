"""Kills, failing disks, full disks, foreign files.

Faults are injected into the real daemons with strace: a signal or an error at the n-th call of one
kind. What must hold is always the same: a 250 ends as delivered, once; what was never accepted is
never delivered (but for a death between the write and the reply); nothing appears in part.
"""
import os
import resource
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness
from fates import check_fates, injected, marks_of, settle, try_send


RECEPTION = ["recvfrom", "sendto", "pwritev", "fdatasync", "sendmsg", "recvmsg", "write", "read",
             "epoll_wait", "accept4", "pwrite64"]


@pytest.mark.parametrize("call", RECEPTION)
def test_killing_smtpd_around_each_call_of_a_reception(make_instance, call):
    with make_instance(settings="workers = 1") as instance:
        instance.deaths_expected = True
        fates = {}
        for when in range(1, 6):
            pids = harness.wait_until(lambda: instance.pids("smtpd"), "a worker")
            mark = f"{call}-{when}"
            with injected(pids, f"{call}:signal=KILL:when={when}"):
                fates[mark] = try_send(instance, mark)
            harness.wait_until(lambda: try_send(instance, "after-" + mark) == "250", "a new worker")
        settle(instance)
        check_fates(instance, fates)


@pytest.mark.parametrize("error, code", [("EIO", "451"), ("ENOSPC", "452"), ("EDQUOT", "452")])
@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
def test_a_failing_disk_is_told_and_never_trusted_again(make_instance, call, error, code):
    if call == "fdatasync" and error != "EIO":
        error, code = "ENOSPC", "452"
    with make_instance(settings="workers = 1") as instance:
        with injected(instance.pids("smtpd"), f"{call}:error={error}:when=1"):
            refused = try_send(instance, "refused")
            assert refused == code
            assert try_send(instance, "taken") == "250", "the next segment is sound"
        settle(instance)
        check_fates(instance, {"refused": refused, "taken": "250"})
    with instance:
        settle(instance)
        check_fates(instance, {"refused": refused, "taken": "250"})


@pytest.mark.parametrize("role", ["smtpd", "qmgr", "auth"])
def test_a_wake_of_the_loop_that_fails_is_sent_again(make_instance, role):
    with make_instance(settings="workers = 1") as instance:
        with injected(instance.pids(role), "write:error=EDQUOT:when=1+2"):
            fates = {f"{role}-{n}": try_send(instance, f"{role}-{n}") for n in range(5)}
            instance.pop3().quit()
            settle(instance)
        assert set(fates.values()) == {"250"}
        check_fates(instance, fates)


def test_a_full_disk_in_the_maildir_defers_and_delivers_later(make_instance):
    with make_instance(limits={"retry_first": 1, "retry_most": 1}) as instance:
        with injected(instance.pids("deliver"), "write,pwrite64,writev,pwritev:error=ENOSPC"):
            assert try_send(instance, "later") == "250"
            instance.wait_log("event=recipient-deferred")
        harness.wait_until(instance.delivered, "the delivery")
        settle(instance)
        check_fates(instance, {"later": "250"})


@pytest.mark.parametrize("call", ["renameat", "renameat2", "fsync", "openat2", "sendmsg", "sendto"])
def test_killing_local_delivers_once(make_instance, call):
    with make_instance() as instance:
        instance.deaths_expected = True
        fates = {}
        for when in (1, 2, 3):
            pids = harness.wait_until(lambda: instance.pids("deliver"), "a deliverer")
            mark = f"{call}-{when}"
            with injected(pids, f"{call}:signal=KILL:when={when}"):
                fates[mark] = try_send(instance, mark)
                fates[mark + "b"] = try_send(instance, mark + "b")
                time.sleep(0.2)
            settle(instance)
        check_fates(instance, fates)
        assert all(code == "250" for code in fates.values())


def test_killing_qmgr_with_a_thousand_active_loses_and_doubles_nothing(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        [deliver] = instance.pids("deliver")
        os.kill(deliver, signal.SIGSTOP)
        with ThreadPoolExecutor(4) as pool:
            marks = [f"m{index}" for index in range(1000)]
            fates = dict(zip(marks, pool.map(lambda mark: try_send(instance, mark), marks)))
        harness.wait_until(lambda: instance.status()["queued"] == 1000, "all of them known")
        os.kill(instance.pids("qmgr")[0], signal.SIGKILL)
        os.kill(deliver, signal.SIGCONT)
        settle(instance)
        assert set(fates.values()) == {"250"}
        check_fates(instance, fates)


def test_mail_is_accepted_while_qmgr_is_away(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        fates = {}
        for index in range(60):
            if index in (20, 40):
                pids = harness.wait_until(lambda: instance.pids("qmgr"), "a qmgr")
                os.kill(pids[0], signal.SIGKILL)
            fates[f"m{index}"] = try_send(instance, f"m{index}")
        settle(instance)
        assert set(fates.values()) == {"250"}
        check_fates(instance, fates)


def test_killing_everything_keeps_what_was_accepted(make_instance):
    instance = make_instance().start()
    fates = {}
    for index in range(50):
        fates[f"m{index}"] = try_send(instance, f"m{index}")
    instance.kill()
    with instance:
        settle(instance)
        check_fates(instance, fates)


def test_a_crash_loop_of_one_letter_is_set_aside(make_instance):
    with make_instance() as instance:
        instance.deaths_expected = True
        # Through master, so that every deliverer to come is traced from its birth on.
        with injected([instance.process.pid, *instance.pids("deliver")], "openat2:signal=KILL"):
            assert try_send(instance, "poison") == "250"
            harness.wait_until(lambda: instance.status().get("held") == 1, "the letter held")
        instance.wait_log("level=error", "event=message-poisonous")
        assert len(instance.log_has("event=agent-died")) == 3
        harness.wait_until(lambda: try_send(instance, "sound") == "250", "mail to be accepted")
        harness.wait_until(lambda: marks_of(instance)["sound"], "its delivery")
        assert not marks_of(instance)["poison"]


def test_foreign_files_in_the_spool_are_ignored(make_instance):
    instance = make_instance()
    with instance:
        fates = {"one": try_send(instance, "one")}
        settle(instance)
    queue = instance.directory / "spool" / "queue"
    (queue / "core").write_bytes(b"x" * 100)
    (queue / "zzz.seg").write_bytes(b"")
    (queue / "00.seg").symlink_to("/etc/passwd")
    (queue / "Q.state").write_bytes(b"\xff" * 5000)
    (queue / "directory.seg").mkdir()
    with instance:
        fates["two"] = try_send(instance, "two")
        settle(instance)
        check_fates(instance, fates)
        assert (queue / "core").exists()


def test_a_spool_restored_from_a_backup_works(make_instance):
    instance = make_instance()
    backup = instance.directory / "backup"
    with instance:
        fates = {"before": try_send(instance, "before")}
        settle(instance)
    shutil.copytree(instance.directory / "spool", backup)
    with instance:
        fates["lost with the disk"] = ""
        settle(instance)
    shutil.rmtree(instance.directory / "spool")
    shutil.copytree(backup, instance.directory / "spool")
    with instance:
        fates["after"] = try_send(instance, "after")
        settle(instance)
        check_fates(instance, fates)


def test_out_of_descriptors_smtpd_neither_spins_nor_dies(make_instance):
    with make_instance(settings="workers = 1") as instance:
        pid = instance.pids("smtpd")[0]
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 3, used + 3))
        crowd = [harness.connect(instance.smtp_port) for _ in range(10)]
        before = processor_time(pid)
        time.sleep(1)
        assert processor_time(pid) - before < 0.5, "it spins"
        for talk in crowd:
            talk.raw.close()
        settle(instance)


def test_out_of_descriptors_pop3d_rests_and_serves_again(make_instance):
    with make_instance(settings="workers = 1") as instance:
        pid = instance.pids("pop3d")[0]
        used = len(os.listdir(f"/proc/{pid}/fd"))
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 3, most))
        crowd = [harness.connect(instance.pop3_port) for _ in range(10)]
        before = processor_time(pid)
        time.sleep(1)
        assert processor_time(pid) - before < 0.5, "it spins"
        failures = sum("accept-failed" in line for line in instance.log_lines)
        assert 1 <= failures <= 50, "a line a rest"
        for talk in crowd:
            talk.raw.close()
        assert instance.pids("pop3d") == [pid], "it lives"
        instance.pop3().quit()


def processor_time(pid):
    words = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_a_reload_replaces_mailbox_under_an_open_session(make_instance):
    with make_instance() as instance:
        for mark in ("one", "two", "three"):
            assert try_send(instance, mark) == "250"
        instance.wait_queue_empty()
        before = instance.pids("mailbox")
        session = instance.pop3()
        session.dele(1)
        instance.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: not set(before) & set(instance.pids("mailbox")),
                           "the former mailbox processes to end by themselves")
        assert session.retr(2)[0].startswith(b"+OK")
        assert session.quit().startswith(b"+OK")
        assert len(instance.delivered()) == 2


def test_reload_again_and_again_under_load(make_instance):
    with make_instance() as instance:
        fates, stop = {}, threading.Event()

        def send():
            index = 0
            while not stop.is_set():
                fates[f"m{index}"] = try_send(instance, f"m{index}")
                index += 1
        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(10):
            instance.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
        stop.set()
        sender.join()
        settle(instance)
        check_fates(instance, fates)
        broken = [m for m, code in fates.items() if code != "250"]
        assert not broken and len(fates) > 5, broken
