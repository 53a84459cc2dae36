"""ETRN (RFC 1985): what waits for a domain is tried when its host asks, and by nobody else's wish."""
import base64
import re

import harness
from harness import wait_until

RELAY = 'relay_domains = {"partner.test", "other.test"}\netrn = true\n'
SETTINGS = 'trusted_networks = {"127.0.0.1"}\n' + RELAY
# The retry is far away, and an attempt may be repeated after a second.
LIMITS = {"retry_first": 9, "retry_most": 3600}


def talk_to(port, source="127.0.0.1"):
    talk = harness.connect(port, source)
    talk.expect("220")
    talk.command("EHLO client.test", "250")
    return talk


def attempts(instance, address):
    return len(instance.log_has("event=recipient-deferred", f"to={address}"))


def wait_attempts(instance, address, number):
    wait_until(lambda: attempts(instance, address) >= number, f"{number} attempts for {address}")


def run_until(talk, command, instance, address, number):
    """Asks until there were so many attempts: the first second behind an attempt nothing is tried."""
    def tried():
        talk.command(command, "25")
        return attempts(instance, address) >= number
    wait_until(tried, f"{number} attempts for {address}", deadline=6)


def test_what_waits_for_the_domain_is_tried_when_it_is_asked_for(make_instance):
    with make_instance(settings=SETTINGS, limits={"retry_first": 3600}) as instance:
        instance.send(b"Subject: 1\r\n\r\n", recipients=("joe@partner.test", "ann@partner.test"))
        instance.send(b"Subject: 2\r\n\r\n", recipients=("joe@partner.test",))
        instance.send(b"Subject: 3\r\n\r\n", recipients=("sue@a.other.test", "sue@other.test"))
        wait_attempts(instance, "sue@other.test", 1)
        talk = talk_to(instance.smtp_port)
        talk.command("ETRN partner.test", "253 2.0.0 Ok, 2 pending messages")
        talk.command("ETRN elsewhere.test", "251 2.0.0")
        talk.command("ETRN @other.test", "250 2.0.0")
        instance.wait_log("event=queue-run", "domain=partner.test", "pending=3", "unread=0")
        assert attempts(instance, "ann@partner.test") == 1  # a moment ago: not again so soon


def test_a_run_brings_the_attempt_forward_and_leaves_others_alone(make_instance):
    with make_instance(settings=SETTINGS, limits=LIMITS) as instance:
        instance.send(b"Subject: 1\r\n\r\n", recipients=("joe@partner.test", "sue@other.test"))
        wait_attempts(instance, "sue@other.test", 1)
        talk = talk_to(instance.smtp_port)
        run_until(talk, "ETRN partner.test", instance, "joe@partner.test", 2)
        assert attempts(instance, "sue@other.test") == 1


def test_after_a_restart_the_domains_are_read_again(make_instance):
    with make_instance(settings=SETTINGS, limits={"retry_first": 20}) as instance:
        instance.send(b"Subject: 1\r\n\r\n", recipients=("joe@partner.test", "sue@other.test"))
        wait_attempts(instance, "sue@other.test", 1)
        assert instance.stop() == 0
        instance.log_lines.clear()
        instance.start()
        talk = talk_to(instance.smtp_port)
        talk.command("ETRN partner.test", "250 2.0.0 Ok, queuing for node partner.test started")
        instance.wait_log("event=queue-run", "unread=2")
        wait_attempts(instance, "joe@partner.test", 1)
        assert attempts(instance, "sue@other.test") == 0
        # Its record was read, too, and is known from now on.
        talk.command("ETRN elsewhere.test", "251")


def test_a_stranger_may_not_ask_and_the_log_names_the_setting(make_instance):
    with make_instance(settings=SETTINGS) as instance:
        talk = talk_to(instance.smtp_port, "127.0.0.2")
        talk.command("ETRN example.test", "459 4.7.1 Node example.test not allowed")
        line = instance.wait_log("event=refused", 'subject=example.test', "code=459")[0]
        number = re.search(r"setting=trusted_networks set=\S+:(\d+)", line)
        assert number, line
        text = instance.configuration.read_text().splitlines()[int(number.group(1)) - 1]
        assert text.startswith("trusted_networks")


def test_who_has_logged_in_may_ask(make_instance):
    with make_instance(settings=SETTINGS + "plaintext_auth = always\n") as instance:
        talk = talk_to(instance.submission_port, "127.0.0.2")
        talk.command("ETRN example.test", "459")
        plain = base64.b64encode(b"\0alice@example.test\0secret").decode()
        talk.command(f"AUTH PLAIN {plain}", "235")
        talk.command("ETRN example.test", "251 2.0.0")


def test_without_the_setting_it_is_unknown(make_instance):
    with make_instance() as instance:
        talk = harness.connect(instance.smtp_port)
        talk.expect("220")
        assert "ETRN" not in talk.command("EHLO client.test", "250")
        talk.command("ETRN example.test", "502 5.5.1")
