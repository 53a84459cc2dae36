"""A start by root: every kind of process as its own system user, and nothing belongs to the wrong one.

The roles' users are accounts that every Debian has for other purposes: none has to be made, and nothing
is left behind. The installation lies in a directory of its own that all of them may pass, as /etc/veredus
and /var/spool are.
"""
import contextlib
import ctypes
import os
import pathlib
import pwd
import re
import shutil
import ssl
import subprocess
import tempfile

import pytest

import harness

pytestmark = pytest.mark.root

USERS = {"service": "daemon", "queue": "news", "mail": "mail", "auth": "bin"}
USER_OF_ROLE = {"smtpd": "service", "submission": "service", "pop3d": "service",
                "lookup": "service", "auth": "auth", "qmgr": "queue", "deliver": "mail", "mailbox": "mail"}
CHROOTED = ("smtpd", "submission", "pop3d")
TABLES = ("users", "aliases", "passwords")
EX_NOUSER, EX_NOPERM, EX_CONFIG = 67, 77, 78
ALICE = "alice@example.test"


class Installation(harness.Instance):
    """A configuration with separate users, and nothing else: no table, no directory."""

    def init(self):
        self.directory.mkdir(mode=0o755)
        self.configuration.write_text(
            f'hostname = "mx.example.test"\ndomains = {{"example.test"}}\n{self.own_settings()}')

    def own_settings(self):
        users = "".join(f"{kind}_user = {name}\n" for kind, name in USERS.items())
        return (f'spool_directory = "spool"\nmail_root = "mail"\nrun_directory = "run"\n{users}'
                f'listen "mx" {{ service = smtp address = "127.0.0.1:{self.smtp_port}" }}\n'
                f'listen "submission" {{ service = submission '
                f'address = "127.0.0.1:{self.submission_port}" }}\n'
                f'listen "pop3" {{ service = pop3 address = "127.0.0.1:{self.pop3_port}" }}\n'
                f'{self.settings}\n')

    def configure(self, old, new):
        text = self.configuration.read_text()
        assert old in text
        self.configuration.write_text(text.replace(old, new))

    def add_user(self, address=ALICE, password="secret"):
        self.run_command("user", "add", address, input=password + "\n")

    def served_once(self):
        """Started, so that everything was made, and stopped."""
        self.add_user()
        with self:
            pass
        self.process = None
        return self

    def refuses(self, code, *words):
        """Neither `check` nor a start is content; both say the words in one line."""
        for verb, expected in (("check", EX_CONFIG), ("run", code)):
            done = self.run_command(verb, check=False)
            assert done.returncode == expected, (verb, done.returncode, done.stderr)
            lines = done.stderr.splitlines()
            assert [line for line in lines if all(w in line for w in words)], (verb, words, lines)


@pytest.fixture
def open_directory():
    """A temporary directory that every user may pass, unlike pytest's own."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="veredus-root-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def installation(open_directory):
    made = Installation(open_directory / "etc", users=())
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def ids(kind):
    entry = pwd.getpwnam(USERS[kind])
    return entry.pw_uid, entry.pw_gid


def owner(path):
    status = path.stat()
    return status.st_uid, status.st_mode & 0o7777


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


def may_read(kind, path):
    uid, gid = ids(kind)
    return subprocess.run(["cat", path], user=uid, group=gid, extra_groups=[], cwd="/",
                          capture_output=True, check=False).returncode == 0


def assert_confined(installation):
    """Every child is who DESIGN's table of processes says, with nothing that leads back."""
    children = installation.children()
    assert {role for _, role in children} == set(USER_OF_ROLE)
    for pid, role in children:
        status = status_of(pid)
        uid, gid = ids(USER_OF_ROLE[role])
        assert status["Uid"] == [str(uid)] * 4, role
        assert status["Gid"] == [str(gid)] * 4, role
        assert status["Groups"] == [str(gid)], role
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[kind][0], 16) == 0, (role, kind)
        assert status["NoNewPrivs"] == ["1"], role
        assert status["Seccomp"] == ["2"], role
        inside = str(installation.directory / "run/empty") if role in CHROOTED else "/"
        assert os.readlink(f"/proc/{pid}/root") == inside, role
        assert os.readlink(f"/proc/{pid}/cwd") == inside, role


def roundtrip(installation, subject, **login):
    installation.send(f"Subject: {subject}\r\n\r\nwords\r\n".encode())

    def arrives():
        return [m for m in installation.fetch_all(**login) if f"Subject: {subject}".encode() in m]
    harness.wait_until(arrives, f"{subject} in the mailbox")


# ---- it works ----


def test_the_greylist_is_kept_where_lookup_may_not_go(installation):
    """The spool is the queue's alone: lookup has the one file open from before its sandbox."""
    installation.add_user()
    installation.configure('spool_directory = "spool"', 'spool_directory = "spool"\ngreylist = true\n'
                           f'trusted_networks = {{"192.0.2.1"}}\n'
                           f'dns {{ servers = {{"{harness.friendly_dns().address}"}} }}')
    for expected in ("450", "450"):  # the second time by another process
        with installation:
            talk = harness.connect(installation.smtp_port)
            talk.expect("220")
            talk.command("EHLO client.test", "250")
            talk.command("MAIL FROM:<joe@sender.test>", "250")
            talk.command(f"RCPT TO:<{ALICE}>", expected)
            talk.command("QUIT", "221")
            assert not installation.log_has("greylist-not-open")
        installation.process = None
    path = installation.directory / "spool" / "greylist"
    assert owner(path) == (0, 0o600) and path.stat().st_blocks * 512 < 65536


def test_mail_goes_from_smtp_to_pop3_with_every_process_as_its_own_user(installation):
    installation.add_user()
    with installation:
        assert_confined(installation)
        roundtrip(installation, "separate")
        for path in [installation.maildir(), *installation.maildir().rglob("*")]:
            assert owner(path)[0] == ids("mail")[0], path
        assert installation.run_command("check").stderr == ""


def test_master_alone_stays_root_and_leaves_the_directory_of_the_caller(installation):
    installation.add_user()
    with installation:
        assert status_of(installation.process.pid)["Uid"] == ["0"] * 4
        assert os.readlink(f"/proc/{installation.process.pid}/cwd") == "/"


def test_a_key_that_root_alone_may_read_is_served_by_workers_that_can_not_open_it(installation):
    certificates = installation.directory / "certificates"
    subprocess.run([installation.command, "init", certificates, "--hostname", "mx.example.test",
                    "--domain", "example.test"], check=True, capture_output=True)
    certificate, key = certificates / "tls/cert.pem", certificates / "tls/key.pem"
    installation.configure('listen "mx"', f'tls {{ certificate = "{certificate}" key = "{key}" }}\n'
                           'listen "mx"')
    installation.add_user()
    with installation:
        assert_confined(installation)
        assert owner(key) == (0, 0o600)
        with harness.smtplib.SMTP("127.0.0.1", installation.submission_port) as client:
            client.starttls(context=ssl.create_default_context(cafile=certificate))
            assert client.ehlo()[0] == 250


def test_the_start_makes_directories_for_their_users_whatever_the_umask(installation):
    installation.configure('"spool"', '"var/deep/spool"')
    before = os.umask(0o077)
    try:
        installation.served_once()
    finally:
        os.umask(before)
    made = {name: owner(installation.directory / name) for name in (
        "var", "var/deep", "var/deep/spool", "var/deep/spool/queue", "mail", "run", "run/empty")}
    queue, mail = ids("queue")[0], ids("mail")[0]
    assert made == {"var": (0, 0o755), "var/deep": (0, 0o755), "var/deep/spool": (queue, 0o700),
                    "var/deep/spool/queue": (queue, 0o700), "mail": (mail, 0o700),
                    "run": (0, 0o755), "run/empty": (0, 0o555)}


def test_the_first_user_makes_all_tables_and_auth_alone_reads_the_passwords(installation):
    installation.add_user()
    for table in TABLES:
        for path in (installation.directory / table, installation.directory / f"{table}.db"):
            readers = {kind for kind in USERS if may_read(kind, path)}
            assert readers == ({"auth"} if table == "passwords" else set(USERS)), path


def test_passwords_stay_with_auth_through_every_verb_that_writes_them(installation):
    expected = (ids("auth")[0], 0o600)
    verbs = ((("user", "add", ALICE), "one\n"), (("user", "add", "bob@example.test"), "two\n"),
             (("user", "passwd", ALICE), "three\n"), (("user", "delete", "bob@example.test"), None),
             (("table", "build"), None), (("table", "build", "passwords"), None))
    for verb, words in verbs:
        installation.run_command(*verb, input=words)
        for name in ("passwords", "passwords.db"):
            assert owner(installation.directory / name) == expected, (verb, name)


def test_users_are_added_changed_and_deleted_beneath_a_running_server(installation):
    installation.add_user()
    with installation:
        roundtrip(installation, "old password")
        installation.run_command("user", "passwd", ALICE, input="changed\n")
        roundtrip(installation, "new password", password="changed")
        with pytest.raises(harness.poplib.error_proto):
            installation.pop3(password="secret")
        installation.add_user("bob@example.test", "word")
        installation.pop3("bob@example.test", "word").quit()
        installation.run_command("user", "delete", "bob@example.test")
        with pytest.raises(harness.poplib.error_proto):
            installation.pop3("bob@example.test", "word")


def test_a_reload_makes_a_generation_that_is_confined_as_the_first(installation):
    installation.add_user()
    with installation:
        old = set(installation.children())
        installation.run_command("reload")
        harness.wait_until(lambda: not old & set(installation.children()), "the old to be gone")
        installation.wait_log("event=ready", "generation=2")
        assert_confined(installation)
        roundtrip(installation, "second generation")


def test_a_first_start_in_the_background_makes_its_run_directory(installation):
    installation.add_user()
    installation.run_command("start")
    try:
        roundtrip(installation, "background")
        assert owner(installation.directory / "run/master.log") == (0, 0o640)
        installation.run_command("check")
    finally:
        installation.run_command("stop")


def test_no_other_user_can_wait_for_the_locks_of_master(installation):
    """Who gets the lock of a master that crashed would keep the next one from starting."""
    installation.add_user()
    with installation:
        for name in ("run/master.pid", "spool/master.lock"):
            done = subprocess.run(["flock", installation.directory / name, "true"], user="nobody",
                                  capture_output=True, timeout=10, check=False)
            assert b"Permission denied" in done.stderr, (name, done)


def test_a_second_start_finds_mail_and_queue_as_it_left_them(installation):
    installation.served_once()
    with installation:
        roundtrip(installation, "second start")


# ---- what is wrong is named, with its remedy ----

def test_wrong_owners_are_refused_with_the_command_that_mends_them(installation):
    installation.served_once()
    wrong = {"spool": "queue", "spool/queue": "queue", "spool/corrupt": "queue", "mail": "mail",
             "passwords": "auth", "passwords.db": "auth"}
    for name, kind in wrong.items():
        path = installation.directory / name
        os.chown(path, 0, 0)
        installation.refuses(EX_NOPERM, f"{path}: belongs to user 0 and must belong to {USERS[kind]}",
                             f"chown {'-R ' if path.is_dir() else ''}{USERS[kind]}: {path}")
        os.chown(path, *ids(kind))
    for name in ("run", "run/empty", "."):
        path = installation.directory / name
        os.chown(path, *ids("service"))
        installation.refuses(EX_NOPERM, "must belong to root; chown root: ")
        os.chown(path, 0, 0)
    with installation:
        roundtrip(installation, "mended")


def test_the_command_that_a_complaint_ends_in_mends_it(installation):
    installation.served_once()
    for name in ("spool", "mail", "passwords", "passwords.db"):
        os.chown(installation.directory / name, 0, 0)
    (installation.directory / "passwords").chmod(0o644)
    (installation.directory / "users.db").chmod(0o600)
    (installation.directory / "spool").chmod(0o750)
    installation.directory.chmod(0o700)
    for _ in range(3):  # what one problem hides is said once that is mended
        for line in installation.run_command("check", check=False).stderr.splitlines():
            subprocess.run(line.split("; ")[-1].split(), check=True)
    with installation:
        roundtrip(installation, "mended")


def test_modes_that_let_others_in_are_refused(installation):
    installation.served_once()
    for name, mode in (("spool", 0o750), ("mail", 0o770), ("run", 0o777), ("aliases", 0o666),
                       ("users.db", 0o664), ("passwords", 0o640), ("passwords.db", 0o604)):
        path = installation.directory / name
        right = owner(path)[1]
        path.chmod(mode)
        installation.refuses(EX_NOPERM, f"{path}: mode {mode:04o} lets others", "chmod go-")
        path.chmod(right)
    assert installation.run_command("check").returncode == 0


def test_a_directory_of_roots_alone_on_the_way_is_named(installation):
    installation.served_once()
    installation.directory.chmod(0o700)
    for name, kind in (("spool", "queue"), ("mail", "mail"), ("users.db", "service"),
                       ("passwords.db", "auth")):
        installation.refuses(EX_NOPERM, f"{installation.directory / name}: {USERS[kind]} can not get there",
                             f"chmod o+x {installation.directory}")


def test_a_table_that_its_reader_can_not_read_is_named(installation):
    installation.served_once()
    path = installation.directory / "aliases.db"
    path.chmod(0o600)
    installation.refuses(EX_NOPERM, f"{path}: {USERS['service']} can not read it", f"chmod o+r {path}")


def test_a_user_that_does_not_exist_is_named_with_its_setting(installation):
    installation.served_once()
    installation.configure(f"auth_user = {USERS['auth']}", "auth_user = veredus-nobody-has")
    installation.refuses(EX_NOUSER, "veredus-nobody-has: there is no such system user (auth_user)",
                         "useradd --system")
    done = installation.run_command("user", "add", "bob@example.test", input="word\n", check=False)
    assert done.returncode != 0 and "veredus-nobody-has" in done.stderr


def test_a_role_that_would_be_root_is_refused(installation):
    installation.served_once()
    installation.configure(f"mail_user = {USERS['mail']}", "mail_user = root")
    installation.refuses(EX_NOUSER, "mail_user must not be root")


def test_a_reload_with_a_wrong_owner_keeps_the_old_generation(installation):
    installation.add_user()
    with installation:
        children = set(installation.children())
        os.chown(installation.directory / "passwords.db", 0, 0)
        done = installation.run_command("reload", check=False)
        assert done.returncode != 0 and "passwords.db: belongs to user 0" in done.stderr + done.stdout
        assert set(installation.children()) == children
        os.chown(installation.directory / "passwords.db", *ids("auth"))
        installation.run_command("reload")
        installation.wait_log("event=ready", "generation=2")


def test_a_text_that_was_lost_is_not_replaced_by_an_empty_one(installation):
    installation.add_user()
    (installation.directory / "passwords").unlink()
    done = installation.run_command("user", "add", "bob@example.test", input="word\n", check=False)
    assert done.returncode != 0 and "bring back the text" in done.stderr
    assert installation.run_command("table", "get", "passwords", ALICE).stdout.startswith("$y$")


# ---- what is installed ----

def unit():
    return (harness.ROOT / "conf/veredus.service").read_text()


def confine_as_unit():
    """In the child: CapabilityBoundingSet and NoNewPrivileges of the unit."""
    numbers = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "KILL": 5, "SETGID": 6, "SETUID": 7,
               "NET_BIND_SERVICE": 10, "SYS_CHROOT": 18}
    drop_bounding, set_no_new_privs = 24, 38
    kept = re.search(r"(?m)^CapabilityBoundingSet=(.*)$", unit()).group(1).split()
    kept = {numbers[name.removeprefix("CAP_")] for name in kept}
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in set(range(last + 1)) - kept:
        prctl(drop_bounding, number, 0, 0, 0)
    prctl(set_no_new_privs, 1, 0, 0, 0)


class Installed(Installation):
    """What `make install` puts into a PREFIX, with the configuration that comes with it."""

    def init(self):
        self.directory.mkdir(mode=0o755)
        subprocess.run(["make", "-s", "-o", "all", "install", f"OUT={harness.BUILD}",
                        f"PREFIX={self.prefix}"], cwd=harness.ROOT, check=True, capture_output=True)
        text = (self.prefix / "share/doc/veredus/veredus.conf").read_text()
        self.configuration.write_text(text.replace("example.org", "example.test") +
                                      self.own_settings())

    @property
    def prefix(self):
        return self.directory.parent / "prefix"

    @property
    def command(self):
        return str(self.prefix / "sbin/veredus")


@contextlib.contextmanager
def started_as_by_the_unit(installation):
    """subprocess.Popen of the harness, with what systemd does before it executes."""
    popen = subprocess.Popen

    def confined(*words, **options):
        return popen(*words, preexec_fn=confine_as_unit, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness.subprocess, "Popen", confined)
        installation.start()
    try:
        yield
        assert installation.stop() == 0
    finally:
        if installation.process.poll() is None:
            installation.kill()


def test_what_make_install_installs_serves_with_the_capabilities_of_its_unit(open_directory):
    installed = Installed(open_directory / "etc", users=())
    assert f"ExecStart={installed.command} " in (
        installed.prefix / "lib/systemd/system/veredus.service").read_text()
    installed.add_user()
    with started_as_by_the_unit(installed):
        assert_confined(installed)
        roundtrip(installed, "installed")
        installed.run_command("reload")
        installed.wait_log("event=ready", "generation=2")
        roundtrip(installed, "reloaded")


def test_the_users_that_are_installed_are_the_defaults_of_the_settings(tmp_path):
    lines = (harness.ROOT / "conf/veredus.sysusers").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    made = {re.fullmatch(r'u +(\S+) +- +"[^":]+"', line).group(1) for line in lines}
    configuration = tmp_path / "veredus.conf"
    configuration.write_text('hostname = "mx.example.test"\ndomains = {"example.test"}\n')
    done = subprocess.run([str(harness.BUILD / "veredus"), "-c", configuration, "config", "--all"],
                          capture_output=True, text=True, check=True, env=harness.environment())
    assert made == set(re.findall(r'(?m)^\w+_user\s*=\s*"?([\w-]+)', done.stdout))


def test_exit_codes_that_a_restart_does_not_mend_are_in_the_unit():
    codes = re.search(r"(?m)^RestartPreventExitStatus=(.*)$", unit()).group(1).split()
    assert codes == [str(EX_NOUSER), str(EX_NOPERM), str(EX_CONFIG)]
