"""A DNS server for the system tests: a zone given as a dict, and everything a server can do wrong.

    with DnsServer({"example.test": {"MX": [(10, "mx.example.test")], "A": ["192.0.2.1"]},
                    "*.list.test": {"A": ["127.0.0.2"], "TXT": ["because"]},
                    "broken.test": "servfail"}) as dns:
        settings = f'dns {{ servers = {{"{dns.address}"}} timeout = 1 }}'

A value is a dict of records by type, or the name of a fault; a dict may have a fault too, under
"fault". Records are texts (MX: pairs of preference and name); octets stand for the data of the record
as it goes over the wire: see mx() and labels(). "*.NAME" answers for whatever is beneath NAME, "*" for
all. A name that is not in the zone is NXDOMAIN, unless something beneath it is; one without records of
the type has no data. `zone`, `ttl`, `negative_ttl` and `authentic` may be changed while it serves;
`queries` is a list of (name, type, "udp" or "tcp") of all that came.

Faults: servfail, refused, formerr, notimp; silent (no answer); truncate (over UDP: TC and nothing
else); truncate-always (over TCP too); wrong-id, wrong-question, wrong-port (a forged answer to
192.0.2.66 first, then the right one); garbage (octets at random behind the id); empty (a datagram
without octets first); cut (half of the right answer); loop (a name that points to itself); slow (the
right answer after `delay` seconds); hang-up (TCP: closed without an answer).
"""
import os
import socket
import struct
import threading
import time

import dnslib

RCODES = {"formerr": 1, "servfail": 2, "notimp": 4, "refused": 5}
FORGED = "192.0.2.66"
CLASS_IN = 1
TCP_MOST = 65535


def labels(*parts):
    """A name as octets, from labels that may hold any octets: labels(b"m\\nx", b"test")."""
    return b"".join(struct.pack("B", len(part)) + part for part in parts) + b"\0"


def mx(preference, *parts):
    """The data of an MX record as octets; without labels it is the null MX."""
    return struct.pack(">H", preference) + labels(*parts)


def plain(name):
    return str(name).rstrip(".").lower()


def record_data(kind, value):
    """The dnslib data of a record; octets stay what they are."""
    if isinstance(value, bytes):
        return dnslib.RD(value)
    if kind == "MX":
        return dnslib.MX(value[1], value[0])
    if kind == "TXT":
        octets = value.encode()
        return dnslib.TXT([octets[at:at + 255] for at in range(0, len(octets), 255)] or [b""])
    return getattr(dnslib, kind)(value)


class DnsServer:
    def __init__(self, zone=None, host="127.0.0.1"):
        self.zone = dict(zone or {})
        self.ttl, self.negative_ttl, self.delay = 300, 30, 1.0
        self.authentic = False
        self.queries = []
        self.stopping = False
        self.udp, self.tcp = self.open_sockets(host)
        self.host, self.port = self.udp.getsockname()[:2]
        self.address = f"{self.host}:{self.port}"
        self.threads = [threading.Thread(target=serve, daemon=True)
                        for serve in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def open_sockets(host):
        """One port that is free for both."""
        while True:
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            udp.bind((host, 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                udp.close()
                tcp.close()
                continue
            tcp.listen(64)
            return udp, tcp

    def close(self):
        """Nobody answers any more; what asks now finds the port closed."""
        self.stopping = True
        for end in (self.udp, self.tcp):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        for thread in self.threads:
            thread.join(5)

    def asked(self, name, kind=None):
        """How often a name was asked for."""
        return sum(1 for query in list(self.queries)
                   if query[0] == plain(name) and kind in (None, query[1]))

    # ---- what is answered ----

    def find(self, name):
        """What the zone has for a name: itself, then the nearest wildcard above it."""
        zone = {plain(key): value for key, value in self.zone.items()}
        if name in zone:
            return zone[name]
        above = name.split(".")[1:]
        for start in range(len(above) + 1):
            wild = ".".join(["*"] + above[start:])
            if wild in zone:
                return zone[wild]
        if any(key.endswith("." + name) for key in zone):
            return {}
        return None

    def fault(self, name):
        found = self.find(name)
        return found if isinstance(found, str) else (found or {}).get("fault")

    def fill(self, reply, name, kind):
        """Adds the records; aliases are followed, eight of them at most."""
        for _ in range(8):
            found = self.find(name)
            if found is None:
                reply.header.rcode = 3
                break
            records = {} if isinstance(found, str) else found
            wanted = "CNAME" if "CNAME" in records and kind != "CNAME" else kind
            for value in records.get(wanted, []):
                reply.add_answer(dnslib.RR(name, getattr(dnslib.QTYPE, wanted), CLASS_IN, self.ttl,
                                           record_data(wanted, value)))
            if wanted == kind:
                break
            name = plain(records["CNAME"][0])
        if not any(record.rtype == getattr(dnslib.QTYPE, kind) for record in reply.rr):
            times = (1, 3600, 600, 86400, self.negative_ttl)
            reply.add_auth(dnslib.RR("test", dnslib.QTYPE.SOA, CLASS_IN, self.negative_ttl,
                                     dnslib.SOA("ns.test", "root.test", times)))

    def right_answer(self, request, over):
        reply = request.reply(ra=1, aa=0)
        reply.header.ad = int(self.authentic)
        self.fill(reply, plain(request.q.qname), dnslib.QTYPE.get(request.q.qtype))
        octets = reply.pack()
        most = 512
        for record in request.ar:
            if record.rtype == dnslib.QTYPE.OPT:
                most = max(512, record.edns_len)
        if over == "udp" and len(octets) > most:
            return self.truncated(request)
        return octets[:TCP_MOST]

    @staticmethod
    def truncated(request):
        reply = request.reply(ra=1, aa=0)
        reply.header.tc = 1
        return reply.pack()

    @staticmethod
    def forged(request, fault):
        reply = request.reply(ra=1, aa=0)
        if fault == "wrong-id":
            reply.header.id ^= 0x5555
        if fault == "wrong-question":
            reply.q.qname = dnslib.DNSLabel("forged.test")
        reply.add_answer(dnslib.RR(reply.q.qname, dnslib.QTYPE.A, CLASS_IN, 300, dnslib.A(FORGED)))
        return reply.pack()

    def answers(self, request, over):
        """The messages to send, in their order; a pair (octets, True) goes out from another port."""
        fault = self.fault(plain(request.q.qname))
        if fault in RCODES:
            reply = request.reply(ra=1, aa=0)
            reply.header.rcode = RCODES[fault]
            return [reply.pack()]
        if fault in ("silent", "hang-up"):
            return []
        if fault == "truncate-always" or (fault == "truncate" and over == "udp"):
            return [self.truncated(request)]
        if fault == "garbage":
            return [struct.pack(">H", request.header.id) + os.urandom(200)]
        right = self.right_answer(request, over)
        if fault == "cut":
            return [right[:len(right) // 2]]
        if fault == "loop":
            at = len(request.reply().pack())
            head = struct.pack(">HHHHHH", request.header.id, 0x8180, 1, 1, 0, 0)
            return [head + right[12:at] + struct.pack(">H", 0xc000 | at) + right[-10:]]
        if fault in ("wrong-id", "wrong-question"):
            return [self.forged(request, fault), right]
        if fault == "wrong-port":
            return [(self.forged(request, fault), True), right]
        if fault == "empty":
            return [b"", right]
        if fault == "slow":
            time.sleep(self.delay)
        return [right]

    def note(self, octets, over):
        request = dnslib.DNSRecord.parse(octets)
        self.queries.append((plain(request.q.qname), dnslib.QTYPE.get(request.q.qtype), over))
        return request

    # ---- sockets ----

    def answer_udp(self, octets, peer):
        for message in self.answers(self.note(octets, "udp"), "udp"):
            if isinstance(message, tuple):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind((self.host, 0))
                    other.sendto(message[0], peer)
            else:
                self.udp.sendto(message, peer)

    def serve_udp(self):
        while not self.stopping:
            try:
                octets, peer = self.udp.recvfrom(4096)
            except OSError:
                return
            if octets:
                threading.Thread(target=self.answer_udp, args=(octets, peer), daemon=True).start()

    def answer_tcp(self, client):
        with client, client.makefile("rb") as stream:
            while True:
                head = stream.read(2)
                if len(head) < 2:
                    return
                octets = stream.read(struct.unpack(">H", head)[0])
                request = self.note(octets, "tcp")
                for message in self.answers(request, "tcp"):
                    message = message[0] if isinstance(message, tuple) else message
                    client.sendall(struct.pack(">H", len(message)) + message)
                if self.fault(plain(request.q.qname)) == "hang-up":
                    return

    def serve_tcp(self):
        while not self.stopping:
            try:
                client, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.answer_tcp, args=(client,), daemon=True).start()
