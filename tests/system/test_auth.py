"""AUTH on submission (RFC 4954), line by line: who may, what is refused, what nobody may learn."""
import random
import selectors
import socket
import struct
import time

import pytest

import harness
import secure
from secure import ALICE, SECRET, b64, plain


def closes_or_lives(talk):
    """True when the session still serves."""
    return talk.command("NOOP", "250")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = "auth_delay_first = 1\nauth_delay_most = 1\n"
    made = harness.Instance(tmp_path_factory.mktemp("auth") / "instance",
                            users=[(ALICE, SECRET), ("bob@example.test", "word")],
                            limits={"errors_close": 1000, "errors_slow": 999, **dict(
                                line.split(" = ") for line in settings.splitlines())})
    with made as running:
        yield running


# ---- who is offered it ----


def test_port_25_offers_no_auth(server):
    talk = secure.greeted(server.smtp_port)
    assert "AUTH" not in talk.capabilities
    talk.command("AUTH PLAIN " + plain(), "502")
    assert "AUTH" not in secure.starttls(server, server.smtp_port).capabilities


def test_loopback_is_offered_passwords_without_tls_and_no_binding(server):
    lines = secure.greeted(server.submission_port).capabilities.splitlines()
    assert "250 AUTH SCRAM-SHA-256 PLAIN LOGIN" in lines


def test_under_tls_scram_with_binding_is_offered_first(server):
    lines = secure.starttls(server).capabilities.splitlines()
    assert "250 AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in lines


def test_without_tls_passwords_are_refused_where_the_setting_says_so(make_instance):
    with make_instance(settings="plaintext_auth = never") as server:
        talk = secure.greeted(server.submission_port)
        assert "250 AUTH SCRAM-SHA-256" in talk.capabilities.splitlines()
        talk.command("AUTH PLAIN " + plain(), "538 5.7.11")
        talk.command("AUTH LOGIN", "538 5.7.11")
        secure.Scram().log_in(talk)
        secure.log_in(secure.starttls(server))


def test_the_old_form_is_announced_where_the_setting_says_so(make_instance):
    with make_instance(settings="auth_old_form = true") as server:
        lines = secure.greeted(server.submission_port).capabilities.splitlines()
        assert "250 AUTH=LOGIN PLAIN" in lines
        assert "250-AUTH SCRAM-SHA-256 PLAIN LOGIN" in lines
        assert "AUTH=" not in secure.greeted(server.smtp_port).capabilities


def test_it_is_not_offered_again_behind_a_login(server):
    talk = secure.log_in(secure.starttls(server))
    assert "AUTH" not in talk.command("EHLO client.example.org", "250")


# ---- the mechanisms ----


def test_plain_with_and_without_an_initial_response(server):
    secure.log_in(secure.starttls(server))
    talk = secure.starttls(server)
    assert talk.command("AUTH PLAIN", "334") == "334 "
    talk.command(plain(), "235 2.7.0")


def test_plain_by_the_name_of_a_login_in_any_case(server):
    talk = secure.starttls(server)
    talk.command("auth plain " + plain("ALICE@Example.Test"), "235")


def test_login_asks_for_both(server):
    talk = secure.starttls(server)
    assert talk.command("AUTH LOGIN", "334") == "334 " + b64("Username:")
    assert talk.command(b64(ALICE), "334") == "334 " + b64("Password:")
    talk.command(b64(SECRET), "235")


def test_login_with_an_initial_response(server):
    talk = secure.starttls(server)
    talk.command("AUTH LOGIN " + b64(ALICE), "334")
    talk.command(b64(SECRET), "235")


def test_scram_in_the_clear_and_under_tls(server):
    secure.Scram().log_in(secure.greeted(server.submission_port))
    secure.Scram().log_in(secure.starttls(server))


def test_scram_with_an_empty_first_challenge(server):
    talk, scram = secure.starttls(server), secure.Scram()
    assert talk.command("AUTH SCRAM-SHA-256", "334") == "334 "
    challenge = talk.command(scram.first(), "334 ")[4:]
    talk.command(scram.final(challenge), "334")
    talk.command("", "235")


def tls_1_2(server):
    context = secure.trusting(server)
    context.maximum_version = secure.ssl.TLSVersion.TLSv1_2
    return secure.starttls(server, context=context)


def test_scram_plus_is_bound_to_the_connection(server):
    """tls-unique, since Python has no tls-exporter; test_clients.py has that with gsasl."""
    talk = tls_1_2(server)
    binding = talk.raw.get_channel_binding("tls-unique")
    secure.Scram(binding=("tls-unique", binding)).log_in(talk, "SCRAM-SHA-256-PLUS")


def test_scram_plus_over_another_connection_fails(server):
    """Somebody in the middle hands the exchange on: his connection to us has another binding."""
    binding = tls_1_2(server).raw.get_channel_binding("tls-unique")
    reply = secure.Scram(binding=("tls-unique", binding)).log_in(tls_1_2(server),
                                                                 "SCRAM-SHA-256-PLUS")
    assert reply.startswith("535"), reply


def test_scram_of_a_client_that_was_told_of_no_binding_fails(server):
    """"y": it knows bindings, but saw none offered; we did offer one (RFC 5802 §6)."""
    reply = secure.Scram(flag="y").log_in(tls_1_2(server))
    assert reply.startswith("535"), reply


def test_scram_with_a_wrong_password_fails(server):
    reply = secure.Scram(password="wrong").log_in(secure.starttls(server))
    assert reply.startswith("535 5.7.8"), reply


def test_a_new_password_counts_for_every_mechanism(make_instance):
    with make_instance() as server:
        server.run_command("user", "passwd", ALICE, input="another\n")
        harness.wait_until(lambda: secure.starttls(server).command(
            "AUTH PLAIN " + plain(password="another"), "")[:3] == "235", "the new password")
        secure.Scram(password="another").log_in(secure.starttls(server))
        assert secure.Scram().log_in(secure.starttls(server)).startswith("535")


# ---- its place in the dialogue ----


def test_auth_before_ehlo_is_503(server):
    talk = harness.connect(server.submission_port)
    talk.expect("220")
    talk.command("AUTH PLAIN " + plain(), "503 5.5.1")


def test_auth_twice_is_503(server):
    talk = secure.log_in(secure.starttls(server))
    talk.command("AUTH PLAIN " + plain(), "503 5.5.1")
    talk.command("RSET", "250")
    talk.command("AUTH PLAIN " + plain("bob@example.test", "word"), "503 5.5.1")


def test_auth_amid_a_transaction_is_503(server):
    talk = secure.starttls(server)
    talk.command(f"MAIL FROM:<{ALICE}>", "250")
    talk.command("AUTH PLAIN " + plain(), "503 5.5.1")
    talk.command(f"RCPT TO:<{ALICE}>", "250")
    talk.command("AUTH PLAIN", "503 5.5.1")


def test_after_a_refused_auth_the_session_goes_on(server):
    talk = secure.starttls(server)
    talk.command("AUTH PLAIN " + plain(password="wrong"), "535 5.7.8")
    secure.log_in(talk)


def test_commands_pipelined_behind_auth_end_the_session(server):
    """They would be served with or without the login, whatever its answer (RFC 2920 §3.1)."""
    talk = secure.starttls(server)
    talk.send(f"AUTH PLAIN {plain()}\r\nMAIL FROM:<{ALICE}>\r\n".encode())
    talk.expect("503 5.5.1")
    assert talk.closed()


def test_submission_takes_no_mail_before_a_login(make_instance):
    with make_instance(settings='trusted_networks = {"192.0.2.0/24"}') as server:
        talk = secure.starttls(server)
        talk.command(f"MAIL FROM:<{ALICE}>", "530 5.7.0")
        talk.command("RCPT TO:<bob@example.test>", "503")
        secure.log_in(talk)
        talk.command(f"MAIL FROM:<{ALICE}>", "250")


def test_a_login_may_relay_and_ends_with_the_session(make_instance):
    with make_instance(settings='trusted_networks = {"192.0.2.0/24"}\n'
                                'route "elsewhere.test" { transport = discard }') as server:
        talk = secure.log_in(secure.starttls(server))
        talk.command(f"MAIL FROM:<{ALICE}>", "250")
        talk.command("RCPT TO:<someone@elsewhere.test>", "250")
        other = secure.greeted(server.smtp_port)
        other.command(f"MAIL FROM:<{ALICE}>", "250")
        other.command("RCPT TO:<someone@elsewhere.test>", "554 5.7.1")


def test_starttls_behind_a_login_forgets_it(make_instance):
    """RFC 3207 §4.2: nothing that was said in the clear counts behind it."""
    with make_instance(settings='trusted_networks = {"192.0.2.0/24"}') as server:
        clear = secure.log_in(secure.greeted(server.submission_port))
        clear.command("STARTTLS", "220")
        talk = secure.encrypted(server, clear.raw)
        assert "AUTH" in talk.command("EHLO client.example.org", "250")
        talk.command(f"MAIL FROM:<{ALICE}>", "530")


# ---- what is malformed ----


@pytest.mark.parametrize("line, code", [
    ("AUTH", "501 5.5.4"), ("AUTH ", "501 5.5.4"), ("AUTH PLAIN !", "501 5.5.2"),
    ("AUTH PLAIN AGEAYg", "501 5.5.2"), ("AUTH PLAIN AGEAYh==", "501 5.5.2"),
    ("AUTH PLAIN AGE AYg==", "501 5.5.2"), ("AUTH PLAIN *", "501 5.5.2"),
    ("AUTH CRAM-MD5", "504 5.5.4"), ("AUTH ANONYMOUS", "504"), ("AUTH EXTERNAL =", "504"),
    ("AUTH SCRAM-SHA-1", "504"), ("AUTH PLAIN\0", "501"), ("AUTH " + "X" * 500, "504"),
    ("AUTH PLAIN =", "501"), ("AUTH SCRAM-SHA-256 =", "501"),
], ids=repr)
def test_a_malformed_auth_has_its_code(server, line, code):
    talk = secure.starttls(server)
    talk.command(line, code)
    closes_or_lives(talk)


@pytest.mark.parametrize("message, code", [
    ("\0alice@example.test\0", "501"),          # an empty password
    ("\0\0secret", "501"),                      # no name
    ("alice@example.test\0secret", "501"),      # a NUL too few
    ("\0alice@example.test\0secret\0", "501"),  # and one too many: never cut there
    ("\0alice@example.test\0secret\0x", "501"),
    ("secret", "501"), ("", "501"),
    ("bob@example.test\0alice@example.test\0secret", "535"),  # to act as somebody else
    ("alice@example.test\0alice@example.test\0secret", "235"),
    ("\0alice@example.test\xff\0secret", "5"),
    ("\0nobody@example.test\0secret", "535"), ("\0alice@elsewhere.test\0secret", "535"),
    ("\0alice@example.test\0Secret", "535"), ("\0alice@example.test\0secret ", "535"),
])
def test_a_plain_message_is_taken_exactly(server, message, code):
    talk = secure.starttls(server)
    talk.command("AUTH PLAIN " + (b64(message.encode("latin-1")) or "="), code)
    closes_or_lives(talk)


@pytest.mark.parametrize("steps", [
    ["AUTH PLAIN"], ["AUTH LOGIN"], ["AUTH LOGIN", b64(ALICE)], ["AUTH SCRAM-SHA-256"],
    ["AUTH SCRAM-SHA-256 " + b64("n,,n=alice@example.test,r=abc")],
])
def test_a_star_cancels_at_every_step(server, steps):
    talk = secure.starttls(server)
    for step in steps:
        talk.command(step, "334")
    talk.command("*", "501 5.7.0")
    secure.log_in(talk)


@pytest.mark.parametrize("line", ["not base64", "YQ", "YR==", "**", " *", "Y Q=", "====", "\x80"])
def test_an_answer_that_is_no_base64_is_501_and_no_command(server, line):
    talk = secure.starttls(server)
    talk.command("AUTH PLAIN", "334")
    talk.command(line, "501 5.5.2")
    talk.command("AUTH LOGIN", "334")
    talk.command(b64(ALICE), "334")
    talk.command(line, "501 5.5.2")
    secure.log_in(talk)


def test_a_name_typed_without_base64_fails_behind_the_password(server):
    talk = secure.starttls(server)
    talk.command("AUTH LOGIN", "334")
    talk.command("alice", "334 " + b64("Password:"))
    talk.command("secret", "535 5.7.8")
    assert not server.log_has("secret")
    secure.log_in(talk)


def test_a_line_may_have_12288_octets(server):
    """RFC 4954 §4: 12,288 are taken, for a mechanism that needs them; not one more."""
    talk = secure.starttls(server)
    talk.command("AUTH PLAIN", "334")
    talk.command("A" * 12288, "501 5.5.2")  # of no mechanism, but no line too long
    talk.command("AUTH PLAIN", "334")
    talk.command("A" * 12289, "500 5.5.6")
    talk.command("AUTH PLAIN " + "A" * 12289, "500")
    closes_or_lives(talk)
    secure.log_in(talk)


def test_an_endless_answer_ends_the_session(server):
    talk = secure.starttls(server)
    talk.command("AUTH PLAIN", "334")
    replies = []
    try:
        for _ in range(64):
            talk.send(b"A" * 65536)
    except OSError:
        pass
    try:
        while (line := talk.line()) is not None:
            replies.append(line[:3])
    except OSError:
        pass
    assert set(replies) <= {"500", "421"}, replies


# ---- guessing ----


def test_a_wrong_password_waits_and_others_do_not(make_instance):
    with make_instance(users=[(ALICE, SECRET), ("bob@example.test", "word")],
                       limits={"auth_delay_first": 2, "auth_delay_most": 4}) as server:
        talk = secure.starttls(server)
        began = time.monotonic()
        talk.send(f"AUTH PLAIN {plain(password='wrong')}\r\n".encode())
        other = secure.starttls(server)
        other.command("AUTH PLAIN " + plain("bob@example.test", "word"), "235")
        meanwhile = time.monotonic() - began
        talk.expect("535 5.7.8")
        waited = time.monotonic() - began
        assert waited >= 1.9, waited
        assert meanwhile < waited, "the other login waited for nobody"


def reset(raw):
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def sessions(server):
    return server.status().get("sessions", 0)


@pytest.mark.parametrize("secured", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("end", [lambda raw: raw.close(), reset], ids=["closes", "resets"])
def test_a_client_that_leaves_before_its_answer_is_gone_and_has_failed(make_instance, end, secured):
    """The answer comes after three seconds: nobody waits for it, and it counts."""
    limits = {"auth_delay_first": 3, "auth_delay_most": 3, "auth_failures": 1}
    with make_instance(settings='trusted_networks = {"192.0.2.1"}\n', limits=limits) as server:
        talk = secure.starttls(server) if secured else secure.greeted(server.submission_port)
        talk.send(f"AUTH PLAIN {plain(password='wrong')}\r\n".encode())
        began = time.monotonic()
        harness.wait_until(lambda: sessions(server) == 1, "its session")
        end(talk.raw)
        harness.wait_until(lambda: sessions(server) == 0, "no session")
        assert time.monotonic() - began < 2.5, "it was kept for its answer"

        def put_off():
            with secure.greeted(server.submission_port).raw as raw:
                other = harness.Talk(raw)
                other.send(f"AUTH PLAIN {plain()}\r\n".encode())
                return other.reply().startswith("454 4.7.0")
        harness.wait_until(put_off, "the failure to be counted")


def test_a_pop3_client_that_leaves_before_its_answer_is_gone_and_has_failed(make_instance):
    limits = {"auth_delay_first": 3, "auth_delay_most": 3, "auth_failures": 1}
    with make_instance(settings='trusted_networks = {"192.0.2.1"}\n', limits=limits) as server:
        def try_password(password):
            talk = harness.connect(server.pop3_port)
            talk.expect("+OK")
            talk.command(f"USER {ALICE}", "+OK")
            talk.send(f"PASS {password}\r\n".encode())
            return talk
        began = time.monotonic()
        try_password("wrong").raw.close()
        server.wait_log("event=session-end", "reason=lost")
        assert time.monotonic() - began < 2.5, "it was kept for its answer"
        harness.wait_until(lambda: try_password(SECRET).line().startswith("-ERR [SYS/TEMP] too many"),
                           "the failure to be counted")


def test_who_exists_is_told_by_no_word(server):
    replies = set()
    for user in (ALICE, "nobody@example.test", "alice@elsewhere.test", "no address"):
        replies.add(secure.starttls(server).command("AUTH PLAIN " + plain(user, "wrong"), "535"))
        replies.add(secure.Scram(user, "wrong").log_in(secure.starttls(server)))
    assert len(replies) == 1, replies


def test_scram_gives_a_stranger_the_same_salt_each_time(server):
    def challenge(user):
        scram = secure.Scram(user)
        reply = secure.starttls(server).command("AUTH SCRAM-SHA-256 " + scram.first(), "334")
        return secure.base64.b64decode(reply[4:]).decode().split(",", 1)[1]
    assert challenge("nobody@example.test") == challenge("nobody@example.test")
    assert challenge(ALICE) == challenge(ALICE) != challenge("nobody@example.test")
    assert len(challenge(ALICE)) == len(challenge("nobody@example.test"))


def multiply_users(server, count):
    """So many accounts user0@... with the credentials of alice."""
    table = server.directory / "tables" / "passwords"
    text = table.read_text()
    line = next(line for line in text.splitlines() if line.startswith(ALICE + " "))
    table.write_text(text + "".join(line.replace(ALICE, f"user{i}@example.test") + "\n"
                                    for i in range(count)))
    server.run_command("table", "build", "passwords")


def answer_times(talks, users):
    """Every session tries a wrong password at the same moment; {user: seconds until its answer}."""
    times = {}
    with selectors.DefaultSelector() as waiting:
        for talk, user in zip(talks, users, strict=True):
            waiting.register(talk.raw, selectors.EVENT_READ, (talk, user))
        began = time.monotonic()
        for talk, user in zip(talks, users, strict=True):
            talk.send(f"AUTH PLAIN {plain(user, 'wrong')}\r\n".encode())
        while waiting.get_map():
            for key, _ in waiting.select(harness.DEADLINE):
                talk, user = key.data
                talk.expect("535 5.7.8")
                times[user] = time.monotonic() - began
                waiting.unregister(key.fileobj)
    return times


def test_who_exists_is_told_by_no_delay_in_a_thousand_attempts(make_instance, sanitized):
    """500 names that exist and 500 that do not, mixed. The ranks of their times within a round, summed
    up over all, are as chance has them (Mann and Whitney): five standard deviations are one false
    alarm in two million runs. The sanitizers tell nothing new about time: a few rounds do for them."""
    rounds, half = 3 if sanitized else 10, 50
    server = make_instance(limits={"auth_delay_first": 1, "auth_delay_most": 1, "errors_slow": 999,
                                   "errors_close": 1000, "idle": 300})
    multiply_users(server, rounds * half)
    with server:
        talks = [secure.greeted(server.submission_port) for _ in range(2 * half)]
        excess = 0
        for number in range(rounds):
            own = range(number * half, (number + 1) * half)
            users = [f"{kind}{i}@example.test" for kind in ("user", "none") for i in own]
            random.shuffle(users)
            times = answer_times(talks, users)
            ranks = {user: rank for rank, user in enumerate(sorted(users, key=times.get), 1)}
            known = sum(rank for user, rank in ranks.items() if user.startswith("user"))
            excess += known - half * (2 * half + 1) / 2
        deviation = (rounds * half * half * (2 * half + 1) / 12) ** 0.5
        assert abs(excess) < 5 * deviation, (excess, deviation)


def test_no_password_reaches_the_log_at_any_level(make_instance):
    right = "Kw1tt3nb4um"
    with make_instance(users=[(ALICE, right)], settings="log_level = debug",
                       limits={"auth_delay_first": 1, "auth_delay_most": 1}) as server:
        wrong, encoded = "Tr0ub4dor", plain(password="Tr0ub4dor")
        secure.log_in(secure.starttls(server), password=right)
        assert secure.Scram(password=right).log_in(secure.starttls(server)).startswith("235")
        secure.starttls(server).command("AUTH PLAIN " + encoded, "535")
        talk = secure.starttls(server)
        talk.command("AUTH LOGIN", "334")
        talk.command(b64(ALICE), "334")
        talk.command(b64(wrong), "535")
        talk.command("AUTH LOGIN", "334")
        talk.command("alice", "334")
        talk.command(wrong, "535")
        clear = harness.connect(server.smtp_port)
        clear.expect("220")
        clear.command("AUTH PLAIN " + encoded, "5")
        clear.command(wrong, "500")
        clear.command("PASS " + wrong, "500")
        assert secure.Scram(password=wrong).log_in(talk).startswith("535")
        server.stop()
        for text in (wrong, right, encoded, plain(password=right), b64(wrong), b64(right)):
            assert not server.log_has(text), text


def test_the_log_tells_who_logged_in_and_how_it_failed(server):
    secure.log_in(secure.starttls(server))
    server.wait_log("event=authenticated", f"user={ALICE}", "tls=1")
    secure.starttls(server).command("AUTH PLAIN " + plain(password="wrong"), "535")
    server.wait_log("event=refused", "subject=AUTH", "code=535")


# ---- auth is gone ----


def test_without_auth_a_login_is_put_off_and_others_go_on(make_instance):
    """§B 13: 454, and mail of trusted clients as before."""
    with make_instance() as server:
        server.deaths_expected = True
        waiting = secure.starttls(server)
        waiting.command("AUTH LOGIN", "334")
        auth, = server.pids("auth")
        harness.os.kill(auth, harness.signal.SIGSTOP)
        asking = secure.starttls(server)
        asking.send(f"AUTH PLAIN {plain()}\r\n".encode())
        server.send(b"Subject: meanwhile\r\n\r\n")
        harness.os.kill(auth, harness.signal.SIGKILL)
        asking.expect("454 4.7.0")
        waiting.command(b64(ALICE), "454 4.7.0")
        harness.wait_until(lambda: asking.command("AUTH PLAIN " + plain(), "")[:3] == "235",
                           "another auth")


def test_a_stopped_auth_costs_a_client_its_patience_and_nothing_else(make_instance):
    with make_instance(limits={"idle": 2}) as server:
        auth, = server.pids("auth")
        harness.os.kill(auth, harness.signal.SIGSTOP)
        try:
            talk = secure.starttls(server)
            talk.command("AUTH PLAIN " + plain(), "454 4.7.0")
            talk.command("NOOP", "250")
        finally:
            harness.os.kill(auth, harness.signal.SIGCONT)


def test_sessions_that_leave_amid_auth_cost_nothing(make_instance):
    with make_instance(limits={"auth_delay_first": 1, "auth_delay_most": 1}) as server:
        for i in range(20):
            for step in ("AUTH LOGIN", "AUTH PLAIN " + plain(f"nobody{i}", "wrong"), "AUTH PLAIN"):
                talk = secure.greeted(server.submission_port)
                talk.send(step.encode() + b"\r\n")
                talk.raw.close()
        harness.wait_until(lambda: server.status().get("sessions", 0) == 0, "no session")
        secure.log_in(secure.starttls(server))
