"""Names that want to be paths, programs or ways around the policy."""
import time

import pytest

import harness

USERS = """
up@example.test: ../../outside
root@example.test: /etc
middle@example.test: a/../../outside
hidden@example.test: .outside
empty@example.test: a//b
end@example.test: a/
"""

ALIASES = """
loop1: loop2
loop2: loop1
cmd: "|id"
plain: |id
file: /etc/passwd
include: :include:/etc/passwd
mixed: alice, |id
""" + "".join(f"deep{k}: deep{k + 1}\n" for k in range(40)) + \
    "".join(f"wide{k}: " + ", ".join(f"wide{j}" for j in range(40)) + "\n" for k in range(40))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = harness.Instance(tmp_path_factory.mktemp("names") / "instance",
                            settings='trusted_networks = {"192.0.2.0/24"}',
                            limits={"errors_slow": 900, "errors_close": 1000})
    tables = made.directory / "tables"
    for name, text in (("users", USERS), ("aliases", ALIASES)):
        with open(tables / name, "a") as table:
            table.write(text)
    made.run_command("table", "build")
    with made as running:
        yield running


def answer(server, address):
    talk = harness.connect(server.smtp_port)
    talk.expect("220")
    talk.command("EHLO client.example.org", "250")
    talk.command("MAIL FROM:<bob@example.org>", "250")
    talk.send(f"RCPT TO:<{address}>\r\n".encode())
    return talk.reply()


@pytest.mark.parametrize("user", ["up", "root", "middle", "hidden", "empty", "end"])
def test_a_mailbox_outside_the_root_is_no_mailbox(server, user):
    assert answer(server, f"{user}@example.test").startswith("550 5.1.1")
    assert server.wait_log("event=mailbox-path-refused", f"user={user}@")


@pytest.mark.parametrize("alias", ["loop1", "cmd", "plain", "file", "include", "mixed", "deep0",
                                   "wide0"])
def test_an_alias_that_loops_or_executes_is_refused_at_once(server, alias):
    before = time.monotonic()
    assert answer(server, f"{alias}@example.test").startswith("550 ")
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("local", [
    '";id;"', "${run{id}}", "|id", "/etc/passwd", '":include:/etc/shadow"', "-oQ/tmp", '"../alice"',
    '"/etc/passwd"', "%n%n%s", '"alice/new"', '"alice@example.test"', "alice%evil.test",
    "evil.test!alice"])
def test_a_local_part_is_a_name_and_nothing_else(server, local):
    assert answer(server, f"{local}@example.test").startswith("550 5.1.1")


@pytest.mark.parametrize("address", ["alice@evil.test", "@example.test:alice@evil.test",
                                     '"alice@example.test"@evil.test', "alice@[IPv6:::2]"])
def test_only_the_last_domain_counts(server, address):
    reply = answer(server, address)
    # RFC 5321 appendix C: a source route is passed over, so its mailbox is what is judged.
    assert reply.startswith("554 5.7.1"), reply


def test_none_of_it_left_anything_behind(server):
    names = {path.name for path in (server.directory / "mail").iterdir()}
    assert names <= {"example.test"}
    boxes = (server.directory / "mail" / "example.test").iterdir()
    assert {path.name for path in boxes} == {"alice"}
    assert not (server.directory / "outside").exists()
