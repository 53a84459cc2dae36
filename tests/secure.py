"""A client's side of TLS and SASL, for tests that say every line themselves."""
import base64
import hashlib
import hmac
import re
import secrets
import socket
import ssl

import harness

ALICE, SECRET = "alice@example.test", "secret"


def trusting(server):
    """A client's side of TLS that believes in the certificate of the instance and in no other."""
    return ssl.create_default_context(cafile=server.directory / "tls" / "cert.pem")


def suspecting_nothing():
    """A context that believes everybody, as many mail servers do."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def encrypted(server, raw, context=None, session=None):
    context = context or trusting(server)
    return harness.Talk(context.wrap_socket(raw, server_hostname="mx.example.test",
                                            session=session))


def connect_implicit(server, context=None, session=None):
    """A connection to port 465 on which the greeting is not heard yet."""
    raw = socket.create_connection(("127.0.0.1", server.submissions_port), harness.DEADLINE)
    return encrypted(server, raw, context, session)


def greeted(port):
    """A connection in the clear, behind EHLO."""
    talk = harness.connect(port)
    talk.expect("220")
    talk.capabilities = talk.command("EHLO client.example.org", "250")
    return talk


def starttls(server, port=None, context=None, session=None):
    """A connection by STARTTLS, behind the second EHLO."""
    clear = greeted(port or server.submission_port)
    clear.command("STARTTLS", "220")
    talk = encrypted(server, clear.raw, context, session)
    talk.capabilities = talk.command("EHLO client.example.org", "250")
    return talk


def b64(octets):
    octets = octets.encode() if isinstance(octets, str) else octets
    return base64.b64encode(octets).decode()


def plain(user=ALICE, password=SECRET, authzid=""):
    return b64(f"{authzid}\0{user}\0{password}")


def log_in(talk, user=ALICE, password=SECRET):
    talk.command("AUTH PLAIN " + plain(user, password), "235")
    return talk


class Scram:
    """SCRAM-SHA-256 (RFC 5802, RFC 7677), one exchange; binding: (name, octets) for -PLUS."""

    def __init__(self, user=ALICE, password=SECRET, binding=None, flag="n"):
        self.password = password.encode()
        self.header = f"p={binding[0]},," if binding else flag + ",,"
        self.binding = binding[1] if binding else b""
        self.first_bare = f"n={user},r={secrets.token_hex(12)}"

    def first(self):
        return b64(self.header + self.first_bare)

    def final(self, challenge):
        """The answer to the server's first message, in base64 both."""
        server_first = base64.b64decode(challenge).decode()
        nonce, salt, rounds = re.fullmatch(r"r=([^,]+),s=([^,]+),i=(\d+)", server_first).groups()
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(salt), int(rounds))
        without_proof = f"c={b64(self.header.encode() + self.binding)},r={nonce}"
        message = ",".join((self.first_bare, server_first, without_proof)).encode()
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored_key = hashlib.sha256(client_key).digest()
        signature = hmac.digest(stored_key, message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = "v=" + b64(hmac.digest(server_key, message, "sha256"))
        return b64(without_proof + ",p=" + b64(proof))

    def log_in(self, talk, mechanism="SCRAM-SHA-256"):
        """The whole exchange; the server's signature is checked. Returns the last reply."""
        talk.send(f"AUTH {mechanism} {self.first()}\r\n".encode())
        reply = talk.reply()
        if not reply.startswith("334 "):
            return reply
        talk.send(self.final(reply[4:]).encode() + b"\r\n")
        reply = talk.reply()
        if not reply.startswith("334"):
            return reply
        assert base64.b64decode(reply[4:]).decode() == self.expected, "the server knows the password"
        return talk.command("", "2")
