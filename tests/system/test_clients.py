"""Real clients send and fetch."""
import email.message
import shutil
import smtplib
import subprocess

import harness


def run(*command, input=None):
    done = subprocess.run(command, input=input, capture_output=True, text=True, check=False,
                          timeout=harness.DEADLINE)
    return done.returncode, done.stdout + done.stderr


def test_swaks_sends(instance):
    code, output = run("swaks", "--server", f"127.0.0.1:{instance.smtp_port}", "--from",
                       "bob@example.org", "--to", "alice@example.test", "--header",
                       "Subject: from swaks", "--body", "hello")
    assert code == 0, output
    assert "queued as" in output
    instance.wait_queue_empty()
    assert b"Subject: from swaks" in instance.fetch_all()[0]


def test_swaks_sends_pipelined(instance):
    code, output = run("swaks", "--pipeline", "--server", f"127.0.0.1:{instance.smtp_port}",
                       "--from", "bob@example.org", "--to", "alice@example.test,postmaster@example.test")
    assert code == 0, output
    instance.wait_queue_empty()
    assert len(instance.delivered()) == 1, "one mailbox gets one copy"


def test_smtplib_sends_and_poplib_fetches(instance):
    message = email.message.EmailMessage()
    message["From"], message["To"] = "bob@example.org", "alice@example.test"
    message["Subject"] = "smtplib"
    message.set_content("Grüße\n.\n..\nend")
    with instance.smtp() as client:
        client.send_message(message)
    instance.wait_queue_empty()
    fetched = instance.fetch_all()
    assert len(fetched) == 1
    assert b"Subject: smtplib" in fetched[0]


def test_smtplib_is_told_each_refused_recipient(instance):
    with instance.smtp() as client:
        refused = client.sendmail("bob@example.org", ["alice@example.test", "nobody@example.test"],
                                  b"Subject: x\r\n\r\n")
    assert list(refused) == ["nobody@example.test"]
    assert refused["nobody@example.test"][0] == 550


def test_curl_sends_and_fetches(instance, tmp_path):
    letter = tmp_path / "letter"
    letter.write_bytes(b"Subject: curl\r\n\r\nbody\r\n")
    code, output = run("curl", "-sS", f"smtp://127.0.0.1:{instance.smtp_port}/client.example.org",
                       "--mail-from", "bob@example.org", "--mail-rcpt", "alice@example.test",
                       "--upload-file", str(letter))
    assert code == 0, output
    instance.wait_queue_empty()
    url = f"pop3://127.0.0.1:{instance.pop3_port}"
    code, output = run("curl", "-sS", "-u", "alice@example.test:secret", url + "/1")
    assert code == 0, output
    assert "Subject: curl" in output
    code, output = run("curl", "-sS", "-u", "alice@example.test:secret", "-X", "UIDL", url)
    assert code == 0 and output.startswith("1 "), output


def test_smtplib_rejects_a_wrong_command_order(instance):
    with instance.smtp() as client:
        client.ehlo()
        assert client.rcpt("alice@example.test")[0] == 503
        try:
            client.data(b"x")
            raise AssertionError("DATA without MAIL was taken")
        except smtplib.SMTPDataError as error:
            assert error.smtp_code == 503


def test_the_clients_of_this_file_are_installed():
    for program in ("swaks", "curl"):
        assert shutil.which(program), program
