"""Programs that people use submit mail: in the clear without a login, and under TLS with one.

Each sends from alice to bob with a subject of its own; the letter that arrives says how it came.
"""
import email
import json
import os
import pathlib
import re
import smtplib
import subprocess
import tempfile
import uuid

import pytest

import harness
import secure
from postfix import Postfix
from secure import ALICE, SECRET

BOB = "bob@example.test"
HERE = pathlib.Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = harness.Instance(tmp_path_factory.mktemp("clients") / "instance",
                            users=[(ALICE, SECRET), (BOB, "word")],
                            limits={"auth_delay_first": 1, "auth_delay_most": 1})
    with made as running:
        running.certificate = str(running.directory / "tls" / "cert.pem")
        yield running


@pytest.fixture
def subject():
    return "s-" + uuid.uuid4().hex


def run(*command, input=None, home=None, expect=0):
    env = {"PATH": os.environ["PATH"], "HOME": str(home or "/nonexistent"), "LC_ALL": "C.UTF-8",
           "EMAIL": ALICE}
    done = subprocess.run(command, input=input, capture_output=True, text=True, check=False,
                          errors="replace", timeout=harness.DEADLINE, env=env)
    output = done.stdout + done.stderr
    assert expect is None or done.returncode == expect, (done.returncode, output)
    return output


def letter(server, subject):
    """The message with that subject, when it has arrived in bob's mailbox."""
    def arrived():
        found = [path.read_bytes() for path in server.delivered(BOB)]
        return [text for text in found if f"Subject: {subject}\n".encode() in text]
    texts = harness.wait_until(arrived, subject)
    assert len(texts) == 1
    return email.message_from_bytes(texts[0])


def assert_came(server, subject, how):
    """`how`: SMTP, ESMTP, ESMTPS, ESMTPA or ESMTPSA (RFC 3848)."""
    message = letter(server, subject)
    received = " ".join(message.get_all("Received")[0].split())
    assert f" with {how} id " in received, received
    assert ("using TLSv1." in received) == ("S" in how[5:]), received
    for field in ("Date", "Message-ID") if how.endswith("A") else ():
        assert len(message.get_all(field)) == 1, field
    return message


# ---- swaks ----


def swaks(server, subject, *options, expect=0):
    return run("swaks", "--server", "127.0.0.1", "--from", ALICE, "--to", BOB, "--header",
               f"Subject: {subject}", "--helo", "client.example.org", *options, expect=expect)


LOGIN = ("--auth-user", ALICE, "--auth-password", SECRET)


def test_swaks_in_the_clear_without_a_login(server, subject):
    swaks(server, subject, "--port", str(server.smtp_port))
    assert_came(server, subject, "ESMTP")


@pytest.mark.parametrize("tls", [
    ["--tls"], ["--tls-optional"], ["--tls-optional-strict"], ["--tls", "--tls-verify"],
    ["--tls", "--tls-protocol", "tlsv1_2"], ["--tls", "--tls-protocol", "tlsv1_3"],
    ["--tls", "--tls-cipher", "ECDHE+AESGCM", "--tls-protocol", "tlsv1_2"],
    ["--tls", "--tls-sni", "mx.example.test"], ["--tls", "--pipeline"],
], ids=" ".join)
def test_swaks_by_starttls(server, subject, tls):
    trust = ["--tls-ca-path", server.certificate] if "--tls-verify" in tls else []
    swaks(server, subject, "--port", str(server.smtp_port), *tls, *trust)
    assert_came(server, subject, "ESMTPS")


@pytest.mark.parametrize("auth", [
    ["--auth", "PLAIN"], ["--auth", "LOGIN"], ["--auth"], ["--auth-optional"],
    ["--auth-optional-strict"], ["--auth", "PLAIN", "--auth-hide-password"],
    ["--auth", "LOGIN", "--auth-plaintext"], ["--auth", "PLAIN", "--auth-extra", "realm=x"],
    ["--auth", "--auth-map", "XLOGIN=LOGIN"], ["--auth", "PLAIN", "--pipeline"],
], ids=" ".join)
def test_swaks_logs_in(server, subject, auth):
    swaks(server, subject, "--port", str(server.submissions_port), "--tls-on-connect", *auth, *LOGIN)
    assert_came(server, subject, "ESMTPSA")


def test_swaks_logs_in_in_the_clear_on_loopback(server, subject):
    swaks(server, subject, "--port", str(server.submission_port), "--auth", "PLAIN", *LOGIN)
    assert_came(server, subject, "ESMTPA")


def test_swaks_is_told_of_a_wrong_password(server, subject):
    said = swaks(server, subject, "--port", str(server.submission_port), "--tls", "--auth", "PLAIN",
                 "--auth-user", ALICE, "--auth-password", "wrong", expect=28)
    assert "535 5.7.8" in said


def test_swaks_does_not_believe_a_certificate_of_nobody(server, subject):
    said = swaks(server, subject, "--port", str(server.submission_port), "--tls", "--tls-verify",
                 expect=29)
    assert "verify" in said


# ---- curl ----


def curl(server, subject, tmp_path, url, *options):
    text = tmp_path / "letter"
    text.write_bytes(f"From: {ALICE}\r\nSubject: {subject}\r\n\r\nbody\r\n".encode())
    return run("curl", "-sS", "--cacert", server.certificate, url, "--mail-from", ALICE,
               "--mail-rcpt", BOB, "--upload-file", str(text), *options)


def test_curl_in_the_clear_without_a_login(server, subject, tmp_path):
    curl(server, subject, tmp_path, f"smtp://127.0.0.1:{server.submission_port}/client")
    assert_came(server, subject, "ESMTP")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "*"])
@pytest.mark.parametrize("initial", [[], ["--sasl-ir"]], ids=["", "initial"])
def test_curl_by_starttls_with_a_login(server, subject, tmp_path, mechanism, initial):
    curl(server, subject, tmp_path, f"smtp://127.0.0.1:{server.submission_port}/client",
         "--ssl-reqd", "-u", f"{ALICE}:{SECRET}", "--login-options", f"AUTH={mechanism}", *initial)
    assert_came(server, subject, "ESMTPSA")


def test_curl_by_implicit_tls_with_a_login(server, subject, tmp_path):
    curl(server, subject, tmp_path, f"smtps://127.0.0.1:{server.submissions_port}/client", "-u",
         f"{ALICE}:{SECRET}")
    assert_came(server, subject, "ESMTPSA")


# ---- msmtp ----


def msmtp(server, subject, *options):
    return run("msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--from={ALICE}",
               "--domain=client.example.org", *options, "--", BOB,
               input=f"From: {ALICE}\nTo: {BOB}\nSubject: {subject}\n\nbody\n")


def test_msmtp_in_the_clear_without_a_login(server, subject):
    msmtp(server, subject, f"--port={server.smtp_port}", "--tls=off", "--auth=off")
    assert_came(server, subject, "ESMTP")


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256", "on"])
@pytest.mark.parametrize("starttls", ["on", "off"])
def test_msmtp_under_tls_with_a_login(server, subject, mechanism, starttls):
    port = server.submission_port if starttls == "on" else server.submissions_port
    msmtp(server, subject, f"--port={port}", "--tls=on", f"--tls-starttls={starttls}",
          f"--tls-trust-file={server.certificate}", f"--auth={mechanism}", f"--user={ALICE}",
          f"--passwordeval=echo {SECRET}")
    assert_came(server, subject, "ESMTPSA")


# ---- s-nail, mutt ----


def s_nail(server, subject, tmp_path, *settings):
    options = [word for setting in settings for word in ("-S", setting)]
    run("s-nail", "-:/", "-S", "v15-compat=yes", "-S", f"from={ALICE}", "-S", "sendwait",
        "-S", "DEAD=/dev/null", *options, "-s", subject, BOB, input="body\n", home=tmp_path)


def test_s_nail_in_the_clear_without_a_login(server, subject, tmp_path):
    s_nail(server, subject, tmp_path, f"mta=smtp://127.0.0.1:{server.smtp_port}", "smtp-auth=none")
    assert_came(server, subject, "SMTP")


@pytest.mark.parametrize("mechanism", ["plain", "login"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_s_nail_under_tls_with_a_login(server, subject, tmp_path, mechanism, scheme):
    port = server.submission_port if scheme == "smtp" else server.submissions_port
    login = f"{ALICE.replace('@', '%40')}:{SECRET}"
    s_nail(server, subject, tmp_path, f"mta={scheme}://{login}@localhost:{port}",
           f"smtp-auth={mechanism}", f"tls-ca-file={server.certificate}", "tls-ca-no-defaults",
           "tls-verify=strict", *(["smtp-use-starttls"] if scheme == "smtp" else []))
    assert_came(server, subject, "ESMTPSA")


def mutt(subject, tmp_path, *settings):
    settings = [f"set from={ALICE}", "set use_from=yes", "set copy=no", "set ssl_verify_host=no",
                "set ssl_usesystemcerts=no", f"set tmpdir={tmp_path}", *settings]
    (tmp_path / "muttrc").write_text("\n".join(settings) + "\n")
    run("mutt", "-n", "-F", str(tmp_path / "muttrc"), "-s", subject, "--", BOB, input="body\n",
        home=tmp_path)


def test_mutt_in_the_clear_without_a_login(server, subject, tmp_path):
    mutt(subject, tmp_path, f"set smtp_url=smtp://127.0.0.1:{server.smtp_port}",
         "set ssl_starttls=no", "set ssl_force_tls=no")
    assert_came(server, subject, "SMTP")


@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_mutt_under_tls_with_a_login(server, subject, tmp_path, mechanism, scheme):
    port = server.submission_port if scheme == "smtp" else server.submissions_port
    mutt(subject, tmp_path, f"set smtp_url={scheme}://{ALICE}@127.0.0.1:{port}",
         f"set smtp_pass={SECRET}", f"set smtp_authenticators={mechanism}", "set ssl_starttls=yes",
         "set ssl_force_tls=yes", f"set certificate_file={server.certificate}")
    assert_came(server, subject, "ESMTPSA")


# ---- libraries: smtplib, Net::SMTP, nodemailer ----


def note(subject):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = ALICE, BOB, subject
    message.set_content("body\n")
    return message


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("initial", [True, False])
def test_smtplib_by_starttls_with_a_login(server, subject, mechanism, initial):
    with smtplib.SMTP("127.0.0.1", server.submission_port, timeout=harness.DEADLINE) as client:
        client.starttls(context=secure.trusting(server))
        client.ehlo()
        client.user, client.password = ALICE, SECRET
        client.auth(mechanism, getattr(client, "auth_" + mechanism.lower()),
                    initial_response_ok=initial)
        client.send_message(note(subject))
    assert_came(server, subject, "ESMTPSA")


def test_smtplib_by_implicit_tls_with_a_login(server, subject):
    with smtplib.SMTP_SSL("127.0.0.1", server.submissions_port, timeout=harness.DEADLINE,
                          context=secure.trusting(server)) as client:
        client.login(ALICE, SECRET)
        client.send_message(note(subject))
    assert_came(server, subject, "ESMTPSA")


def test_smtplib_in_the_clear_with_a_login(server, subject):
    with smtplib.SMTP("127.0.0.1", server.submission_port, timeout=harness.DEADLINE) as client:
        client.login(ALICE, SECRET)
        client.send_message(note(subject))
    assert_came(server, subject, "ESMTPA")


def test_smtplib_is_told_of_a_wrong_password(server):
    with smtplib.SMTP("127.0.0.1", server.submission_port, timeout=harness.DEADLINE) as client:
        client.starttls(context=secure.trusting(server))
        with pytest.raises(smtplib.SMTPAuthenticationError) as failure:
            client.login(ALICE, "wrong")
    assert failure.value.smtp_code == 535


NET_SMTP = r"""
use strict; use warnings; use Net::SMTP;
my ($port, $way, $certificate, $from, $password, $to, $subject) = @ARGV;
my %tls = (SSL_ca_file => $certificate, SSL_verifycn_name => 'mx.example.test');
my $smtp = Net::SMTP->new('127.0.0.1', Port => $port, Hello => 'client.example.org', Timeout => 30,
                          ($way eq 'implicit' ? (SSL => 1, %tls) : ())) or die "connect: $@";
if ($way eq 'starttls') { $smtp->starttls(%tls) or die 'starttls: ' . $smtp->message; }
if ($way ne 'clear') { $smtp->auth($from, $password) or die 'auth: ' . $smtp->message; }
$smtp->mail($from) && $smtp->to($to) && $smtp->data() or die $smtp->message;
$smtp->datasend("From: $from\nSubject: $subject\n\n.body\n") && $smtp->dataend()
    or die $smtp->message;
$smtp->quit();
"""


@pytest.mark.parametrize("way, port, how", [
    ("clear", "smtp_port", "ESMTP"), ("starttls", "submission_port", "ESMTPSA"),
    ("implicit", "submissions_port", "ESMTPSA")])
def test_net_smtp(server, subject, way, port, how):
    run("/usr/bin/perl", "-e", NET_SMTP, str(getattr(server, port)), way, server.certificate, ALICE,
        SECRET, BOB, subject)
    assert assert_came(server, subject, how).get_payload() == ".body\n"


NODEMAILER = r"""
const nodemailer = require("/usr/share/nodejs/nodemailer");
const { options, message } = JSON.parse(process.argv[1]);
options.tls = { ca: require("fs").readFileSync(options.ca), servername: "mx.example.test" };
const transport = nodemailer.createTransport(options);
transport.verify().then(() => transport.sendMail(message)).then(
    info => { console.log(info.response); transport.close(); },
    error => { console.error(error); process.exit(1); });
"""


@pytest.mark.parametrize("way, port, how, more", [
    ("clear", "smtp_port", "ESMTP", {"ignoreTLS": True}),
    ("starttls", "submission_port", "ESMTPSA", {"requireTLS": True}),
    ("starttls, LOGIN", "submission_port", "ESMTPSA", {"requireTLS": True, "authMethod": "LOGIN"}),
    ("implicit", "submissions_port", "ESMTPSA", {"secure": True}),
    ("pool", "submissions_port", "ESMTPSA", {"secure": True, "pool": True}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_nodemailer(server, subject, way, port, how, more):
    options = {"host": "127.0.0.1", "port": getattr(server, port), "ca": server.certificate, **more}
    if way != "clear":
        options["auth"] = {"user": ALICE, "pass": SECRET}
    message = {"from": f"Älice <{ALICE}>", "to": BOB, "subject": subject, "text": "Grüße\n.\n",
               "attachments": [{"filename": "a.bin", "content": "x" * 100000}]}
    said = run("/usr/bin/node", "-e", NODEMAILER,
               json.dumps({"options": options, "message": message}))
    assert "queued as" in said
    assert "Sender" not in assert_came(server, subject, how)


# ---- gsasl: channel binding ----


@pytest.mark.parametrize("mechanism, more, says", [
    ("SCRAM-SHA-256-PLUS", [], "c=cD10bHMtZXhwb3J0ZXI"),          # p=tls-exporter
    ("SCRAM-SHA-256-PLUS", ["--priority=NORMAL:-VERS-ALL:+VERS-TLS1.2"], "c=cD10bHMtdW5pcXVl"),
    ("SCRAM-SHA-256", ["--no-cb"], "c=bixhPSw="), ("PLAIN", [], ""), ("LOGIN", [], "")])
def test_gsasl_logs_in(server, mechanism, more, says):
    said = run("gsasl", "--smtp", "--connect", f"127.0.0.1:{server.submission_port}", "-m",
               mechanism, "-a", ALICE, "-z", "", f"--password={SECRET}", "--service=smtp",
               f"--x509-ca-file={server.certificate}", "--hostname=mx.example.test", *more, input="")
    assert "235 2.7.0" in said
    decoded = " ".join(secure.base64.b64decode(word + "=" * (-len(word) % 4)).decode("latin-1")
                       for word in re.findall(r"(?m)^[A-Za-z0-9+/]{40,}=*$", said))
    assert says in decoded, decoded


# ---- Postfix and its tools ----


def test_smtp_source_sends_many_at_once(server):
    before = len(server.delivered(BOB))
    for options in (["-s", "20"], ["-s", "5", "-d"]):
        run("/usr/sbin/smtp-source", *options, "-m", "100", "-l", "3000", "-f", ALICE, "-t", BOB,
            f"127.0.0.1:{server.smtp_port}")
    server.wait_queue_empty()
    assert len(server.delivered(BOB)) == before + 200


@pytest.mark.parametrize("level, port", [("secure", "smtp_port"), ("secure", "submission_port"),
                                         ("encrypt", "smtp_port")])
def test_posttls_finger_is_content(server, level, port, tmp_path):
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\ninet_protocols = ipv4\n")
    env = {**os.environ, "MAIL_CONFIG": str(tmp_path)}
    done = subprocess.run(["/usr/sbin/posttls-finger", "-t", "20", "-c", "-l", level, "-F",
                           server.certificate, f"[127.0.0.1]:{getattr(server, port)}",
                           "mx.example.test"], capture_output=True, text=True, check=False, env=env,
                          timeout=harness.DEADLINE)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert ("Verified" if level == "secure" else "TLS connection established") in said, said


@pytest.fixture
def open_directory():
    """Where the user postfix may enter; every pytest that starts shuts others out of tmp_path."""
    with tempfile.TemporaryDirectory(prefix="veredus-postfix-") as place:
        os.chmod(place, 0o755)
        yield pathlib.Path(place)


@pytest.mark.root  # to become the user postfix
@pytest.mark.parametrize("way, mechanism", [
    ("clear", ""), ("starttls", ""), ("starttls", "plain"), ("starttls", "login"), ("starttls", "scram-sha-256"),
    ("implicit", "plain")])
def test_postfix_relays_through_it(server, open_directory, subject, way, mechanism):
    port = {"clear": server.smtp_port, "starttls": server.submission_port,
            "implicit": server.submissions_port}[way]
    certificate = open_directory / "ca.pem"
    certificate.write_bytes((server.directory / "tls" / "cert.pem").read_bytes())
    settings = {"default_transport": "smtp:", "relayhost": f"[127.0.0.1]:{port}",
                "virtual_mailbox_domains": ""}
    if way != "clear":
        settings |= {"smtp_tls_CAfile": certificate, "smtp_tls_security_level": "secure",
                     "smtp_tls_secure_cert_match": "mx.example.test", "smtp_sasl_auth_enable": "yes",
                     "smtp_sasl_password_maps": "inline:{ {[127.0.0.1]:%d=%s:%s} }" % (port, ALICE,
                                                                                      SECRET),
                     "smtp_sasl_tls_security_options": "noanonymous",
                     "smtp_sasl_mechanism_filter": mechanism,
                     "smtp_tls_wrappermode": "yes" if way == "implicit" else "no"}
    with Postfix(open_directory / "postfix", settings) as postfix:
        swaks(server, subject, "--port", str(postfix.port))
        harness.wait_until(lambda: "status=" in postfix.log(), "an attempt")
        assert "status=sent (250 2.0.0 Ok: queued as" in postfix.log(), postfix.log()[-3000:]
    assert_came(server, subject, "ESMTP" if way == "clear" else "ESMTPSA")
