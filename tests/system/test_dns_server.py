"""The DNS server of the tests does what its faults are called."""
import socket
import struct

import dnslib
import pytest

from dns_server import FORGED, DnsServer, labels, mx

ZONE = {
    "h.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"], "MX": [(10, "mx.h.test")],
               "TXT": ["a text", "x" * 300]},
    "alias.test": {"CNAME": ["h.test"]},
    "*.list.test": {"A": ["127.0.0.2"]},
    "null.test": {"MX": [mx(0)]},
    "zero.test": {"MX": [mx(0, b"\0")]},
    "control.test": {"MX": [mx(10, b"m\nx", b"test")]},
    "huge.test": {"A": [f"198.51.{i // 250}.{i % 250}" for i in range(3000)]},
    "cut.test": {"A": ["192.0.2.2"], "fault": "truncate"},
    "forged.test": {"A": ["192.0.2.3"], "fault": "wrong-id"},
}


@pytest.fixture(name="dns")
def fixture_dns():
    with DnsServer(ZONE) as server:
        yield server


def ask_udp(dns, name, kind, count=1):
    """The first `count` datagrams that come back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(dnslib.DNSRecord.question(name, kind).pack(), (dns.host, dns.port))
        return [client.recv(65535) for _ in range(count)]


def ask_tcp(dns, name, kind):
    query = dnslib.DNSRecord.question(name, kind).pack()
    with socket.create_connection((dns.host, dns.port), 5) as client:
        client.sendall(struct.pack(">H", len(query)) + query)
        stream = client.makefile("rb")
        return stream.read(struct.unpack(">H", stream.read(2))[0])


def parsed(octets):
    return dnslib.DNSRecord.parse(octets)


@pytest.mark.parametrize("name, kind, expected", [
    ("h.test", "A", ["192.0.2.1"]), ("H.Test", "AAAA", ["2001:db8::1"]),
    ("h.test", "MX", ["10 mx.h.test."]), ("alias.test", "A", ["h.test.", "192.0.2.1"]),
    ("4.3.2.1.list.test", "A", ["127.0.0.2"])])
def test_records_of_the_zone_are_answered(dns, name, kind, expected):
    reply = parsed(ask_udp(dns, name, kind)[0])
    assert [str(record.rdata) for record in reply.rr] == expected
    assert reply.header.rcode == 0


def test_what_is_not_there_comes_with_an_soa(dns):
    nothing, no_data = (parsed(ask_udp(dns, name, "PTR")[0]) for name in ("none.test", "h.test"))
    assert nothing.header.rcode == 3 and nothing.auth[0].rtype == dnslib.QTYPE.SOA
    assert no_data.header.rcode == 0 and no_data.auth[0].rtype == dnslib.QTYPE.SOA
    assert parsed(ask_udp(dns, "list.test", "A")[0]).header.rcode == 0


@pytest.mark.parametrize("fault, rcode", [("servfail", 2), ("refused", 5), ("notimp", 4)])
def test_a_fault_of_a_name_is_its_code(dns, fault, rcode):
    dns.zone["bad.test"] = fault
    assert parsed(ask_udp(dns, "bad.test", "A")[0]).header.rcode == rcode


@pytest.mark.parametrize("name, data", [
    ("null.test", b"\0\0\0"), ("zero.test", b"\0\0\1\0\0"),
    ("control.test", b"\0\x0a" + labels(b"m\nx", b"test"))])
def test_octets_go_out_as_they_are(dns, name, data):
    assert ask_udp(dns, name, "MX")[0].endswith(struct.pack(">H", len(data)) + data)


def test_truncation_is_over_udp_alone(dns):
    assert parsed(ask_udp(dns, "cut.test", "A")[0]).header.tc == 1
    assert str(parsed(ask_tcp(dns, "cut.test", "A")).rr[0].rdata) == "192.0.2.2"
    assert dns.asked("cut.test") == 2


def test_a_huge_set_is_cut_over_udp_and_whole_over_tcp(dns):
    assert parsed(ask_udp(dns, "huge.test", "A")[0]).header.tc == 1
    assert len(parsed(ask_tcp(dns, "huge.test", "A")).rr) == 3000


def test_a_forged_answer_comes_before_the_right_one(dns):
    forged, right = map(parsed, ask_udp(dns, "forged.test", "A", 2))
    assert forged.header.id != right.header.id
    assert [str(reply.rr[0].rdata) for reply in (forged, right)] == [FORGED, "192.0.2.3"]


def test_silence_is_noted_but_not_answered(dns):
    dns.zone["quiet.test"] = "silent"
    with pytest.raises(TimeoutError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.sendto(dnslib.DNSRecord.question("quiet.test").pack(), (dns.host, dns.port))
        client.recv(100)
    assert dns.asked("quiet.test", "A") == 1
