"""A Postfix of one's own: another configuration directory, high ports on loopback, never a service.

It drops to the system user of the package, so only root can run it.
"""
import os
import pathlib
import pwd
import shutil
import subprocess

import harness

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
myhostname = mx.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
local_recipient_maps =
default_transport = discard:
virtual_mailbox_domains = example.test
virtual_mailbox_maps = inline:{{ alice@example.test=alice/ }}
virtual_mailbox_base = {dir}/mail
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
in_flow_delay = 0
"""

POSTFIX_MASTER = """
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A private Postfix in `directory`; never the host's own."""

    name = "postfix"

    def __init__(self, directory, settings=None):
        """`settings` of main.cf, which take the place of others, or come behind them."""
        self.dir = pathlib.Path(directory)
        self.base, self.claim = harness.claim_ports()
        self.port = self.base + 25
        user = pwd.getpwnam("postfix")
        for part in ("conf", "queue", "data", "mail"):
            (self.dir / part).mkdir(parents=True)
        for parent in [self.dir, *self.dir.parents]:
            if parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
        shutil.chown(self.dir / "data", "postfix", "postfix")
        shutil.chown(self.dir / "mail", "postfix", "postfix")
        conf = self.dir / "conf"
        text = POSTFIX_MAIN.format(dir=self.dir, uid=user.pw_uid, gid=user.pw_gid)
        lines = dict(line.split(" = ", 1) if " = " in line else (line.rstrip(" ="), "")
                     for line in text.strip().splitlines())
        lines.update(settings or {})
        (conf / "main.cf").write_text("".join(f"{k} = {v}\n" for k, v in lines.items()))
        (conf / "master.cf").write_text(POSTFIX_MASTER.format(port=self.port))

    def control(self, verb):
        return subprocess.run(["/usr/sbin/postfix", "-c", str(self.dir / "conf"), verb],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=harness.DEADLINE)

    def __enter__(self):
        done = self.control("start")
        if done.returncode != 0:
            raise AssertionError(f"Postfix does not start: {done}\n{self.log()}")
        harness.wait_until(self.answers, "Postfix answering")
        return self

    def log(self):
        path = self.dir / "log"
        return path.read_text() if path.exists() else ""

    def answers(self):
        try:
            harness.connect(self.port).raw.close()
            return True
        except OSError:
            return False

    def __exit__(self, *ignored):
        self.control("stop")
        harness.wait_until(lambda: not self.answers(), "Postfix stopped")

    def queue_empty(self):
        queue = self.dir / "queue"
        return not any(any(files) for part in ("incoming", "active", "maildrop", "deferred")
                       for _, _, files in os.walk(queue / part))

    def delivered(self):
        new = self.dir / "mail" / "alice" / "new"
        return len(os.listdir(new)) if new.is_dir() else 0
