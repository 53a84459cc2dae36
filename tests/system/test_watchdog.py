"""Daemons that hang: what the operator sees of them, and that they are replaced."""
import os
import re
import signal
import time

import harness

MESSAGE = b"Subject: x\r\n\r\nx\r\n"
ROLES = ("lookup", "auth", "qmgr", "deliver", "mailbox", "smtpd", "submission", "pop3d")


def states(instance):
    """{pid: (role, state, restarts)}"""
    text = instance.run_command("status").stdout
    return {int(pid): (role, state, int(restarts)) for role, pid, state, restarts in
            re.findall(r"(?m)^child (\w+) \d+ (\d+) (\w+) (\d+)$", text)}


def all_serve(instance, count):
    found = states(instance)
    return len(found) == count and all(state == "ready" for _, state, _ in found.values())


def works(instance):
    """Mail is taken, by a login too, delivered, and read."""
    before = len(instance.delivered())
    instance.send(MESSAGE)
    harness.wait_until(lambda: len(instance.delivered()) == before + 1, "the delivery")
    assert len(instance.fetch_all()) == before + 1


def test_one_of_every_role_that_is_stopped_is_replaced_and_its_neighbours_are_not(make_instance):
    with make_instance(settings="workers = 2", limits={"watchdog": 5}) as instance:
        instance.deaths_expected = True
        works(instance)
        before = states(instance)
        stopped = {instance.pids(role)[0] for role in ROLES}
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        harness.wait_until(lambda: not stopped & set(states(instance)), "all of them gone")
        harness.wait_until(lambda: all_serve(instance, len(before)), "their successors")
        after = states(instance)
        assert set(before) - stopped <= set(after)
        assert sorted(restarts for _, _, restarts in after.values()) == (
            [0] * (len(before) - len(stopped)) + [1] * len(stopped))
        for pid in stopped:
            assert instance.wait_log("event=child-hung", f"role={before[pid][0]}", f"child={pid}")
        works(instance)


def test_mail_is_taken_while_its_qmgr_hangs_and_delivered_when_it_is_replaced(make_instance):
    with make_instance(limits={"watchdog": 5}) as instance:
        instance.deaths_expected = True
        instance.send(MESSAGE)
        harness.wait_until(instance.delivered, "the first delivery")
        os.kill(instance.pids("qmgr")[0], signal.SIGSTOP)
        for _ in range(5):
            instance.send(MESSAGE)
        instance.wait_log("event=child-hung", "role=qmgr")
        harness.wait_until(lambda: len(instance.delivered()) == 6, "all of them")


def test_a_server_that_was_stopped_as_a_whole_goes_on_with_the_processes_that_it_had(make_instance):
    with make_instance(limits={"watchdog": 5}) as instance:
        before = states(instance)
        group = [instance.process.pid, *before]
        for pid in group:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(8)  # that time passes is what is tested; it is more than the limit
        for pid in group:
            os.kill(pid, signal.SIGCONT)
        works(instance)
        assert set(states(instance)) == set(before)


def test_a_qmgr_that_waits_for_a_writer_is_recovering_and_its_queue_unknown(make_instance):
    with make_instance(settings='route "held.example" { transport = hold }',
                       limits={"watchdog": 60}) as instance:
        instance.deaths_expected = True
        instance.send(MESSAGE, recipients=["joe@held.example"])
        harness.wait_until(lambda: instance.status().get("held") == 1, "one that is held")
        qmgr, writer = instance.pids("qmgr")[0], instance.pids("smtpd")[0]
        os.kill(writer, signal.SIGSTOP)
        os.kill(qmgr, signal.SIGKILL)
        harness.wait_until(lambda: "recovering" in [state for _, state, _ in states(instance).values()],
                           "a qmgr that recovers")
        text = instance.run_command("status").stdout
        for name in ("queued", "deferred", "active", "held", "segments"):
            assert f"\n{name} unknown\n" in text
            assert name not in instance.status()
        assert instance.status()["messages-in"] == 1
        os.kill(writer, signal.SIGCONT)
        # The first number that is seen is the right one.
        assert harness.wait_until(lambda: "held" in instance.status() and instance.status(),
                                  "a queue that is known")["held"] == 1
        assert all_serve(instance, len(states(instance)))
