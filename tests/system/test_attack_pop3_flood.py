"""One network that takes every POP3 session there is."""
import socket


def test_one_network_leaves_room_for_another(make_instance):
    limits = {"connections_per_worker": 20, "connections_per_network": 5}
    trusted = 'trusted_networks = {"192.0.2.0/24"}'  # who is trusted is not counted
    with make_instance(limits=limits, settings=trusted) as server:
        flood = [socket.create_connection(("127.0.0.1", server.pop3_port)) for _ in range(100)]
        try:
            with socket.socket() as other:
                other.settimeout(5)
                other.bind(("127.77.0.1", 0))
                other.connect(("127.0.0.1", server.pop3_port))
                assert other.recv(100).startswith(b"+OK")
        finally:
            for one in flood:
                one.close()


def test_a_client_that_never_reads_costs_little_memory(make_instance, sanitized):
    def resident(pid):
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    with make_instance() as server:
        server.send(b"Subject: big\r\n\r\n" + b"x\r\n" * 1_000_000)
        server.wait_queue_empty()
        before = max(resident(pid) for pid in server.pids("pop3d"))
        deaf = socket.create_connection(("127.0.0.1", server.pop3_port))
        deaf.sendall(b"USER alice@example.test\r\nPASS secret\r\n" + b"RETR 1\r\n" * 1000)
        server.wait_log("event=login")
        assert max(resident(pid) for pid in server.pids("pop3d")) - before < \
            (64 << 10 if sanitized else 16 << 10)
        deaf.close()
