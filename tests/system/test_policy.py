"""Who may send what, against a DNS and tables that change, and under limits over time.

Clients of 127.0.0.1 are trusted, those of 127.0.0.2 and above are strangers. What a refusal says is in
tests/transcripts/policy-*.txt; here is what a dialogue can not show.
"""
import base64
import os
import re
import signal
import time

import pytest

import harness
from dns_server import DnsServer

STRANGERS = 'trusted_networks = {"127.0.0.1"}\n'
SENDER = {"sender.test": {"MX": [(10, "mx.sender.test")]}}


# For tests that connect until something holds.
UNHURRIED = {"connections_rate": 100000, "messages_rate": 100000, "connections_per_network": 1000}


def dns_settings(dns, more=""):
    return f'{STRANGERS}dns {{ servers = {{"{dns.address}"}} timeout = 1 tries = 1 }}\n{more}'


def stranger(instance, number=2):
    talk = harness.connect(instance.smtp_port, source=f"127.0.0.{number}")
    talk.expect("220")
    talk.command("EHLO client.test", "250")
    return talk


def line_of(instance, setting):
    """A setting and where it stands in the configuration, as the log has them."""
    lines = instance.configuration.read_text().splitlines()
    number = next((i for i, line in enumerate(lines, 1) if line.strip().startswith(setting)), None)
    place = f":{number}" if number else ""
    return f"setting={setting.split()[0]} set={instance.configuration}{place}"


def write_table(instance, name, text):
    (instance.directory / "tables" / name).write_text(text)
    instance.run_command("table", "build", name)


# ---- the DNS ----


def test_a_dead_dns_delays_strangers_and_refuses_none(make_instance):
    dns = DnsServer(SENDER)
    with make_instance(settings=dns_settings(dns, 'dns_list "black.test" { weight = 1 }')) as instance:
        dns.close()
        talk = stranger(instance)
        talk.command("MAIL FROM:<joe@sender.test>", "450 4.1.8")
        talk.command("MAIL FROM:<>", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        trusted = harness.connect(instance.smtp_port)
        trusted.expect("220")
        trusted.command("EHLO client.test", "250")
        trusted.command("MAIL FROM:<joe@sender.test>", "250")
        trusted.command("RCPT TO:<alice@example.test>", "250")
        trusted.command("RSET", "250")
        talk.command("RSET", "250")


def test_the_verified_name_is_in_received_and_in_the_log(make_instance):
    zone = dict(SENDER)
    zone["2.0.0.127.in-addr.arpa"] = {"PTR": ["mail.client.test"]}
    zone["mail.client.test"] = {"A": ["127.0.0.2"]}
    zone["3.0.0.127.in-addr.arpa"] = {"PTR": ["mail.client.test"]}
    with DnsServer(zone) as dns, make_instance(settings=dns_settings(dns)) as instance:
        for number, name in ((2, "mail.client.test"), (3, "unknown")):
            talk = stranger(instance, number)
            talk.command("MAIL FROM:<joe@sender.test>", "250")
            talk.command("RCPT TO:<alice@example.test>", "250")
            talk.command("DATA", "354")
            talk.send(b"Subject: x\r\n\r\n.\r\n")
            talk.expect("250")
            talk.command("QUIT", "221")
            instance.wait_log("message-accepted", f"client=127.0.0.{number} name={name}")
        harness.wait_until(lambda: len(instance.delivered()) == 2, "both letters")
        texts = sorted(path.read_bytes() for path in instance.delivered())
        assert sum(b"from client.test (mail.client.test [127.0.0.2])" in t for t in texts) == 1
        assert sum(b"from client.test (unknown [127.0.0.3])" in t for t in texts) == 1


def test_a_name_with_control_octets_reaches_no_log_and_no_letter(make_instance):
    """A PTR is written by whoever owns the reverse zone."""
    from dns_server import labels
    zone = dict(SENDER)
    zone["2.0.0.127.in-addr.arpa"] = {"PTR": [labels(b"ev\x1b[31mil\nx", b"test")]}
    zone["*"] = {"A": ["127.0.0.2"]}
    with DnsServer(zone) as dns, make_instance(settings=dns_settings(dns)) as instance:
        talk = stranger(instance)
        talk.command("MAIL FROM:<>", "250")
        talk.command("RCPT TO:<bob@elsewhere.test>", "554")
        line = instance.wait_log("event=refused")[0]
        assert "name=unknown" in line


def test_a_hundred_names_are_looked_at_in_bounded_time(make_instance):
    zone = dict(SENDER)
    zone["2.0.0.127.in-addr.arpa"] = {"PTR": [f"host{i}.test" for i in range(100)]}
    with DnsServer(zone) as dns, make_instance(settings=dns_settings(dns)) as instance:
        talk = stranger(instance)
        talk.command("MAIL FROM:<>", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("RSET", "250")
        asked = [name for name, kind, _ in dns.queries if name.startswith("host") and kind == "A"]
        assert 1 <= len(asked) <= 5, asked


def test_lists_are_asked_at_the_connection_and_waited_for_at_rcpt(make_instance):
    zone = dict(SENDER)
    zone["2.0.0.127.black.test"] = {"A": ["127.0.0.2"], "fault": "slow"}
    with DnsServer(zone) as dns, \
            make_instance(settings=dns_settings(dns, 'dns_list "black.test" { weight = 1 }')
                          .replace("timeout = 1", "timeout = 10")) as instance:
        dns.delay = 1.0
        begun = time.monotonic()
        talk = stranger(instance)
        harness.wait_until(lambda: dns.asked("2.0.0.127.black.test"), "the question")
        talk.command("MAIL FROM:<joe@sender.test>", "250")
        assert time.monotonic() - begun < 1, "nobody waited so far"
        talk.command("RCPT TO:<alice@example.test>", "554 5.7.1")
        assert time.monotonic() - begun >= 1


# ---- the log ----


@pytest.mark.parametrize("commands, setting", [
    (["MAIL FROM:<a@none.test>"], "sender_domain_required"),
    (["MAIL FROM:<a@sender.test> SIZE=2000000"], "message_size"),
    (["MAIL FROM:<a@sender.test>", "RCPT TO:<alice@example.test>", "RCPT TO:<alice@example.test>",
      "RCPT TO:<alice@example.test>"], "recipients"),
    (["NOOP " + "x" * 3000], "command_line"),
    (["EHLO"], "helo_argument_required"),
    (["XX"] * 4, "errors_close"),
    (["MAIL FROM:<a@sender.test>", "RCPT TO:<alice@example.test>"], 'dns_list "black.test"')])
def test_a_refusal_names_the_line_of_its_setting(make_instance, commands, setting):
    zone = dict(SENDER)
    if "dns_list" in setting:
        zone["2.0.0.127.black.test"] = {"A": ["127.0.0.2"]}
    more = ("sender_domain_required = true\nhelo_argument_required = true\n"
            'dns_list "black.test" { weight = 1 }\n')
    limits = {"message_size": "1M", "recipients": 2, "command_line": 2048, "errors_close": 4,
              "alias_expansion": 2}
    with DnsServer(zone) as dns, make_instance(settings=dns_settings(dns, more),
                                               limits=limits) as instance:
        talk = stranger(instance)
        for command in commands:
            talk.command(command, "")
        instance.wait_log("event=refused", line_of(instance, setting))


def refuse_each(instance):
    """Makes the server refuse, once for every setting that is given; `idle` comes last."""
    def say(port, *commands):
        talk = harness.connect(port, source="127.0.0.2")
        talk.expect("220")
        talk.command("EHLO client.test", "250")
        for command in commands:
            talk.command(command, "")
        return talk
    mail = "MAIL FROM:<joe@sender.test>"
    yield "relay_domains", say(instance.smtp_port, mail, "RCPT TO:<bob@far.test>")
    yield "expn", say(instance.smtp_port, "EXPN alice")
    yield "trusted_proxies", say(instance.smtp_port, "XCLIENT ADDR=192.0.2.1")
    yield "messages_per_connection", say(instance.smtp_port, *[mail, "RSET"] * 2, mail)
    yield "trusted_networks", say(instance.submission_port, mail)
    yield "plaintext_auth", say(instance.submission_port, "AUTH PLAIN")
    talk = harness.connect(instance.smtp_port, source="127.0.0.2")
    talk.send(b"EHLO client.test\r\n")
    talk.expect("554")
    yield "greet_pause", talk
    talk = say(instance.smtp_port)
    talk.send(b"NOO")
    talk.expect("421 4.4.2")
    yield "command_deadline", talk
    talk = say(instance.smtp_port)
    talk.expect("421 4.4.2")
    yield "idle", talk


def test_every_refusal_by_a_setting_names_it_set_or_not(make_instance):
    settings = (f"{STRANGERS}sender_domain_required = false\ngreet_pause = 300\n"
                "plaintext_auth = never\n")
    limits = {"messages_per_connection": 2, "command_deadline": 1, "idle": 3}
    with make_instance(settings=settings, limits=limits) as instance:
        for setting, talk in refuse_each(instance):
            instance.wait_log("event=refused", line_of(instance, setting))
            talk.raw.close()


# ---- the tables ----


def test_a_table_that_is_built_anew_holds_for_the_next_mail(make_instance):
    with DnsServer(SENDER) as dns, make_instance(settings=dns_settings(dns)) as instance:
        talk = stranger(instance)
        talk.command("MAIL FROM:<joe@sender.test>", "250")
        talk.command("RCPT TO:<alice@example.test>", "250")
        talk.command("RSET", "250")
        write_table(instance, "access", "client:127.0.0.0/29 REJECT\n")

        def refused():
            talk.command("MAIL FROM:<joe@sender.test>", "250")
            talk.send(b"RCPT TO:<alice@example.test>\r\n")
            reply = talk.reply()
            talk.command("RSET", "250")
            return reply.startswith("554 5.7.1")
        harness.wait_until(refused, "the new rule")


def test_an_access_table_that_is_damaged_puts_off_and_refuses_nobody(make_instance):
    with DnsServer(SENDER) as dns, make_instance(settings=dns_settings(dns)) as instance:
        write_table(instance, "access", "client:192.0.2.1 REJECT\n")
        (instance.directory / "tables" / "access.db").write_bytes(b"no table\n" * 1000)

        def put_off():
            talk = stranger(instance)
            talk.send(b"MAIL FROM:<joe@sender.test>\r\n")
            return talk.reply().startswith("451 4.3.0")
        harness.wait_until(put_off, "451")
        write_table(instance, "access", "client:192.0.2.1 REJECT\n")

        def taken():
            talk = stranger(instance)
            talk.send(b"MAIL FROM:<joe@sender.test>\r\n")
            return talk.reply().startswith("250")
        harness.wait_until(taken, "that the table is back")


def test_a_held_letter_stays_over_a_restart(make_instance):
    with DnsServer(SENDER) as dns:
        instance = make_instance(settings=dns_settings(dns))
        write_table(instance, "access", "recipient:alice@example.test HOLD\n")
        with instance:
            instance.send(b"Subject: held\r\n\r\n", sender="joe@sender.test")
            instance.wait_log("recipient-held")
        write_table(instance, "access", "")
        with instance:
            harness.wait_until(lambda: instance.status().get("held") == 1, "that it is held")
            instance.send(b"Subject: not held\r\n\r\n", sender="joe@sender.test")
            harness.wait_until(lambda: len(instance.delivered()) == 1, "the other letter")
            assert b"not held" in instance.delivered()[0].read_bytes()


# ---- logins ----


def log_in(instance, user="alice@example.test", password="secret", code="235", source="127.0.0.1"):
    talk = harness.connect(instance.submission_port, source=source)
    talk.expect("220")
    talk.command("EHLO client.test", "250")
    response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
    talk.command(f"AUTH PLAIN {response}", code)
    return talk


def test_a_login_sends_from_its_own_addresses_alone(make_instance):
    instance = make_instance(users=[("alice@example.test", "secret"), ("bob@example.test", "word")])
    write_table(instance, "senders", "alice@example.test sales@example.test, @lists.test\n")
    with instance:
        talk = log_in(instance)
        for sender, code in (("alice@example.test", "250"), ("ALICE@EXAMPLE.TEST", "250"),
                             ('"alice"@example.test', "250"), ("sales@example.test", "250"),
                             ("any@lists.test", "250"), ("", "250"),
                             ("bob@example.test", "553 5.7.1"), ("alice+x@example.test", "553 5.7.1"),
                             ('"alice "@example.test', "553 5.7.1"),
                             ("alice@sub.lists.test", "553 5.7.1")):
            talk.command(f"MAIL FROM:<{sender}>", code)
            if code == "250":
                talk.command("RSET", "250")
        instance.wait_log("event=refused", "from=bob@example.test", "code=553", "/senders:1")
        # One without an entry is pointed to the table.
        other = log_in(instance, "bob@example.test", "word")
        other.command("MAIL FROM:<alice@example.test>", "553 5.7.1")
        instance.wait_log("event=refused", "from=alice@example.test", "code=553", "tables/senders")


def assert_alice_is_stopped_by(instance, setting):
    """Logged once, with the setting and its place, and shown."""
    instance.wait_log("event=rate-exceeded")
    lines = instance.log_has("event=rate-exceeded")
    assert len(lines) == 1, lines
    assert "account=alice@example.test" in lines[0] and setting in lines[0]
    assert line_of(instance, setting).split()[1] in lines[0]
    status = instance.run_command("status").stdout
    assert re.search(r"(?m)^stopped-account alice@example\.test", status), status


def test_a_stolen_account_is_stopped_and_shown(make_instance):
    limits = {"recipients_per_account": 5}
    with make_instance(users=[("alice@example.test", "secret"), ("bob@example.test", "word")],
                       limits=limits) as instance:
        for recipients in (3, 2):
            talk = log_in(instance)
            talk.command("MAIL FROM:<alice@example.test>", "250")
            for i in range(recipients):
                talk.command("RCPT TO:<bob@example.test>", "250")
            talk.command("RCPT TO:<nobody@example.test>", "550")
            talk.command("QUIT", "221")
        for _ in range(3):  # whatever session it tries from
            talk = log_in(instance)
            talk.command("MAIL FROM:<alice@example.test>", "250")
            talk.command("RCPT TO:<bob@example.test>", "450 4.7.1")
            talk.command("QUIT", "221")
        assert_alice_is_stopped_by(instance, "recipients_per_account")
        other = log_in(instance, "bob@example.test", "word")
        other.command("MAIL FROM:<bob@example.test>", "250")
        other.command("RCPT TO:<alice@example.test>", "250")
        other.command("QUIT", "221")


def test_an_account_that_begins_too_many_messages_is_stopped_and_shown(make_instance):
    with make_instance(users=[("alice@example.test", "secret"), ("bob@example.test", "word")],
                       limits={"messages_per_account": 3}) as instance:
        for _ in range(3):  # one a session, with a recipient or without
            talk = log_in(instance)
            talk.command("MAIL FROM:<bob@example.test>", "553")  # not counted
            talk.command("MAIL FROM:<alice@example.test>", "250")
            talk.command("QUIT", "221")
        for _ in range(3):
            talk = log_in(instance)
            talk.command("MAIL FROM:<alice@example.test>", "450 4.7.1")
            talk.command("RCPT TO:<bob@example.test>", "503")
            talk.command("QUIT", "221")
        assert_alice_is_stopped_by(instance, "messages_per_account")
        other = log_in(instance, "bob@example.test", "word")
        other.command("MAIL FROM:<bob@example.test>", "250")
        other.command("QUIT", "221")


def test_sessions_at_once_are_counted_for_each_account(make_instance):
    users = [("alice@example.test", "secret"), ("bob@example.test", "word")]
    with make_instance(users=users, limits={"connections_per_account": 3}) as instance:
        talks = [log_in(instance, source=f"127.0.0.{i}") for i in range(1, 4)]
        refused = log_in(instance, code="421 4.7.0")
        assert refused.closed()
        instance.wait_log("event=refused", line_of(instance, "connections_per_account"))
        log_in(instance, "bob@example.test", "word").command("QUIT", "221")
        talks.pop().command("QUIT", "221")

        def again():
            talk = harness.connect(instance.submission_port)
            talk.expect("220")
            talk.command("EHLO client.test", "250")
            talk.send(b"AUTH PLAIN " + base64.b64encode(b"\0alice@example.test\0secret") + b"\r\n")
            return talk.reply().startswith("235")
        harness.wait_until(again, "a free place")


def test_a_login_that_a_proxy_vouches_for_is_the_same_account(make_instance):
    """Also under another spelling: with its own address to send from, and its own limits."""
    settings = 'trusted_proxies = {"127.0.0.9"}\n'
    with make_instance(settings=settings, limits={"connections_per_account": 1}) as instance:
        def proxied(name, code):
            talk = harness.connect(instance.submission_port, source="127.0.0.9")
            talk.expect("220")
            talk.command("EHLO proxy.test", "250")
            talk.command(f"XCLIENT LOGIN={name}", code)
            return talk
        talk = proxied("Alice", "220")
        talk.command("EHLO client.test", "250")
        talk.command("MAIL FROM:<alice@example.test>", "250")
        assert proxied("ALICE@Example.Test", "421 4.7.0").closed()
        instance.wait_log("event=refused", line_of(instance, "connections_per_account"))


def test_too_many_failed_logins_put_the_network_off(make_instance):
    """Others are served."""
    limits = {"auth_failures": 3, "auth_delay_first": 1, "auth_delay_most": 1}
    with make_instance(settings=STRANGERS + "plaintext_auth = always\n", limits=limits) as instance:
        for _ in range(3):
            log_in(instance, password="wrong", code="535", source="127.0.0.5").command("QUIT", "221")
        log_in(instance, password="wrong", code="454 4.7.0", source="127.0.0.5")
        log_in(instance, code="454 4.7.0", source="127.0.0.5")
        log_in(instance, source="127.0.0.6").command("QUIT", "221")
        assert len(instance.log_has("rate-exceeded", "auth_failures")) <= 1


def test_failed_logins_count_whatever_they_are_tried_by(make_instance):
    """Who is put off at POP3 is so at submission, too."""
    limits = {"auth_failures": 3, "auth_delay_first": 1, "auth_delay_most": 1}
    with make_instance(settings=STRANGERS + "plaintext_auth = always\n", limits=limits) as instance:
        for number in range(4):
            talk = harness.connect(instance.pop3_port, source="127.0.0.5")
            talk.expect("+OK")
            talk.command(f"USER guess{number}@example.test", "+OK")
            talk.command("PASS wrong", "-ERR [AUTH]" if number < 3 else "-ERR [SYS/TEMP]")
        log_in(instance, code="454 4.7.0", source="127.0.0.5")
        log_in(instance, source="127.0.0.6").command("QUIT", "221")


def test_who_guesses_does_not_lock_the_owner_out(make_instance):
    """An account that one network tries without end is open to another."""
    limits = {"auth_delay_first": 1, "auth_delay_most": 1}
    with make_instance(settings=STRANGERS + "plaintext_auth = always\n", limits=limits) as instance:
        guesses = []
        for _ in range(18):
            talk = harness.connect(instance.pop3_port, source="127.0.0.5")
            talk.expect("+OK")
            talk.command("USER alice@example.test", "+OK")
            talk.send(b"PASS wrong\r\n")
            guesses.append(talk)
        instance.wait_log("event=login-unverified")  # there is no room for one of them
        owner = harness.connect(instance.pop3_port, source="127.0.0.6")
        owner.expect("+OK")
        owner.command("USER alice@example.test", "+OK")
        owner.command("PASS secret", "+OK")


# ---- rates of a network ----


def test_connections_of_a_network_have_a_rate(make_instance):
    with make_instance(settings=STRANGERS, limits={"connections_rate": 3}) as instance:
        for _ in range(3):
            stranger(instance).command("QUIT", "221")
        talk = harness.connect(instance.smtp_port, source="127.0.0.2")
        talk.expect("421 4.7.0")
        assert talk.closed()
        stranger(instance, 3).command("QUIT", "221")
        assert len(instance.wait_log("rate-exceeded", "client=127.0.0.2")) == 1
        for _ in range(5):  # who is trusted is free
            talk = harness.connect(instance.smtp_port)
            talk.expect("220")
            talk.command("QUIT", "221")


def test_messages_and_recipients_of_a_network_have_rates(make_instance):
    limits = {"messages_rate": 3, "recipients_rate": 4}
    with make_instance(settings=STRANGERS, limits=limits) as instance:
        talk = stranger(instance)
        for replies in (("250", "250"), ("250", "250", "450 4.7.1")):
            talk.command("MAIL FROM:<joe@sender.test>", "250")
            for reply in replies:
                talk.command("RCPT TO:<alice@example.test>", reply)
            talk.command("RSET", "250")
        talk.command("MAIL FROM:<joe@sender.test>", "250")
        talk.command("RSET", "250")
        talk.command("MAIL FROM:<joe@sender.test>", "450 4.7.1")
        talk.command("QUIT", "221")
        for setting in limits:
            assert len(instance.wait_log("rate-exceeded", f"setting={setting} ")) == 1
        other = stranger(instance, 3)
        other.command("MAIL FROM:<joe@sender.test>", "250")
        other.command("RCPT TO:<alice@example.test>", "250")
        other.command("QUIT", "221")


def test_connections_at_once_are_counted_for_each_network(make_instance):
    with make_instance(settings=STRANGERS, limits={"connections_per_network": 4}) as instance:
        talks = [stranger(instance) for _ in range(4)]
        talk = harness.connect(instance.smtp_port, source="127.0.0.2")
        talk.expect("421 4.7.0")
        assert talk.closed()
        instance.wait_log("event=refused", line_of(instance, "connections_per_network"))
        stranger(instance, 3).command("QUIT", "221")
        talks.pop().command("QUIT", "221")
        harness.wait_until(lambda: stranger_is_greeted(instance), "a free place")


def stranger_is_greeted(instance):
    talk = harness.connect(instance.smtp_port, source="127.0.0.2")
    return talk.reply().startswith("220")


# ---- greylisting ----


def try_to_send(instance, sender="joe@sender.test", number=2):
    """The reply to RCPT."""
    talk = stranger(instance, number)
    talk.command(f"MAIL FROM:<{sender}>", "250")
    talk.send(b"RCPT TO:<alice@example.test>\r\n")
    reply = talk.reply()
    talk.command("RSET", "250")
    talk.command("QUIT", "221")
    return reply


def test_a_greylisted_letter_is_taken_when_it_comes_again(make_instance):
    limits = {"greylist_delay": 2, "greylist_passes": 2, **UNHURRIED}
    settings = STRANGERS + "greylist = true\n"
    with make_instance(settings=settings, limits=limits) as instance:
        assert try_to_send(instance).startswith("450 4.7.1 Greylisted")
        instance.wait_log("event=refused", "Greylisted", line_of(instance, "greylist ="))
        assert try_to_send(instance).startswith("450")
        harness.wait_until(lambda: try_to_send(instance).startswith("250"), "that it is taken")
        assert try_to_send(instance, number=3).startswith("250"), "a neighbour"
        assert try_to_send(instance, "other@sender.test").startswith("450")
        harness.wait_until(lambda: try_to_send(instance, "other@sender.test").startswith("250"),
                           "that the second is taken")
        assert try_to_send(instance, "new@sender.test").startswith("250"), "two came again"
        # Whoever is trusted or has logged in is not asked to come again.
        instance.send(b"Subject: x\r\n\r\n", sender="bob@example.org")


def test_the_greylist_outlives_kill_and_restart(make_instance):
    limits = {"greylist_delay": 1, **UNHURRIED}
    settings = STRANGERS + "greylist = true\n"
    instance = make_instance(settings=settings, limits=limits)
    with instance:
        assert try_to_send(instance).startswith("450")
        assert try_to_send(instance, "second@sender.test").startswith("450")
        harness.wait_until(lambda: try_to_send(instance).startswith("250"), "that it is taken")
        instance.deaths_expected = True
        for pid in instance.pids("lookup"):
            os.kill(pid, signal.SIGKILL)
        assert try_to_send(instance).startswith("250")
        instance.run_command("reload")
        assert try_to_send(instance).startswith("250")
    with instance:
        assert try_to_send(instance).startswith("250")
        assert try_to_send(instance, "second@sender.test").startswith("250")


def test_a_greylist_that_can_not_be_opened_delays_no_mail(make_instance):
    instance = make_instance(settings=STRANGERS + "greylist = true\n")
    (instance.directory / "spool").mkdir(exist_ok=True)
    (instance.directory / "spool" / "greylist").symlink_to("/dev/null")
    with instance:
        instance.wait_log("event=greylist-not-open")
        assert try_to_send(instance).startswith("250")
