#!/usr/bin/env python3
"""Runs compose.yaml and compose.cluster.yaml without Docker and uses them as their readers are told to.

    docker/check_cluster.py HEADWATER_BINARY [MINIO_BINARY]

One node: the tenant is there, records are written, offloaded to MinIO and read. The cluster: the same through
the balancer, over REST and with an HTTP/2 client; the broker that leads is killed meanwhile, nothing is lost;
Prometheus sees every node, its rules hold no unknown metric, and nor do the dashboards.
"""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from without_docker import HERE, Compose


def say(text):
    print(f"docker: {text}", flush=True)


def eventually(what, look, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.2)
    return found


class Project:
    """The project that the credentials open, through one address."""

    def __init__(self, compose, address):
        credentials = (compose.directory / "volumes/credentials/credentials.json").read_text()
        self.key = json.loads(credentials)["api_key"]
        self.base = f"http://{address}:8080/v1/projects/demo"

    def call(self, method, path, body=None, headers=()):
        request = urllib.request.Request(self.base + path, method=method, headers=dict(headers))
        request.add_header("Authorization", f"Bearer {self.key}")
        data = json.dumps(body).encode() if body is not None else None
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise OSError(f"{method} {path}: {refused.read().decode()}") from None

    def write(self, numbers):
        """Each number once, whatever happens meanwhile: the key makes a repeat the same request."""
        for number in numbers:
            body = {"records": [{"key": f"customer-{number % 9}", "value": {"n": number}}]}
            headers = {"Idempotency-Key": f"order-{number}", "Content-Type": "application/json"}
            eventually("a write", lambda: self.answered("POST", "/topics/orders/records", body, headers))

    def answered(self, *call):
        try:
            return self.call(*call)
        except OSError:
            return None

    def numbers(self):
        found, cursor = [], ""
        while True:
            query = f"?max_records=1000{cursor}" if cursor else "?from=earliest&max_records=1000"
            page = self.call("GET", f"/topics/orders/records{query}")
            if not page["records"]:
                return sorted(found)
            found += [record["value"]["n"] for record in page["records"]]
            cursor = "&cursor=" + urllib.parse.quote(page["cursor"])

    def partitions(self):
        return self.call("GET", "/topics/orders/partitions")["partitions"]


def check_node(binary, *programs):
    with Compose(HERE / "compose.yaml", binary, programs) as compose:
        compose.up()
        project = Project(compose, compose.address("headwater"))
        config = {"segment_bytes": 65536, "local_retention_bytes": 1}
        project.call("PUT", "/topics/orders", {"partitions": 1, "config": config})
        for first in range(0, 1000, 100):
            numbers = range(first, first + 100)
            values = [{"value": {"n": number, "is": "x" * 400}} for number in numbers]
            project.call("POST", "/topics/orders/records", {"records": values})
        if not compose.services["minio"].missing():
            eventually("offload", lambda: project.call("GET", "/topics/orders")["cold_bytes"] > 300_000)
        assert project.numbers() == list(range(1000))
        log = compose.services["headwater"]
        assert log.kill(15) == 0, "SIGTERM ends it cleanly"
        say("one node: tenant made, records written, offloaded, read back; it stops cleanly")


def check_cluster(binary, *programs):
    with Compose(HERE / "compose.cluster.yaml", binary, programs) as compose:
        compose.up()
        project = Project(compose, compose.address("balancer"))
        project.call("PUT", "/topics/orders", {"partitions": 3, "replication_factor": 3})
        project.write(range(100))
        leader = project.partitions()[0]["leader"]
        compose.services[f"broker-{leader}"].kill()
        project.write(range(100, 200))
        assert project.numbers() == list(range(200)), "each record once"
        compose.services["gateway-1"].kill()
        project.write(range(200, 220))
        assert project.numbers() == list(range(220)), "each record once"
        say(f"cluster: broker {leader} and a gateway killed behind the balancer, each record there once")
        check_grpc(compose, project)
        for name in (f"broker-{leader}", "gateway-1"):
            compose.services[name].start()
            eventually(f"{name} is ready", compose.services[name].is_healthy)
        eventually("copies in sync", lambda: all(len(p["in_sync"]) == 3 for p in project.partitions()))
        check_metrics(compose)


def check_grpc(compose, project):
    """A call by HTTP/2 without TLS, as gRPC clients make it; what answers it is a gateway."""
    command = ["curl", "-s", "-o", "/dev/null", "-D", "-", "--http2-prior-knowledge", "-X", "POST"]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-"]
    command += [f"http://{compose.address('balancer')}:8080/grpc.health.v1.Health/Check"]
    answer = subprocess.run(command, input=bytes(5), capture_output=True, check=True).stdout.decode()
    assert "HTTP/2 200" in answer and "application/grpc" in answer, answer
    say("cluster: gRPC goes through the balancer")


def check_metrics(compose):
    node = compose.address("broker-1"), compose.address("gateway-1")
    texts = [urllib.request.urlopen(f"http://{each}:7070/metrics").read().decode() for each in node]
    exported = set(re.findall(r"^(headwater_\w+)", "\n".join(texts), flags=re.M))
    files = [HERE / "prometheus/alerts.yaml", *(HERE / "grafana/dashboards").glob("*.json")]
    for file in files:
        named = set(re.findall(r"\bheadwater_\w+", file.read_text()))
        # There are no certificates in this cluster; a test of the service has them.
        named = {name for name in named if not name.startswith("headwater_tls_")}
        assert named <= exported, f"{file.name} names what is not exported: {named - exported}"
    say(f"metrics: those that {len(files)} files name are exported")
    prometheus = compose.services["prometheus"]
    if prometheus.missing():
        return
    query = f"http://{prometheus.address}:9090/api/v1/query?query=sum(up)"

    def all_up():
        result = json.load(urllib.request.urlopen(query))["data"]["result"]
        return result and result[0]["value"][1] == "5"

    eventually("Prometheus sees all nodes", all_up)
    say("metrics: Prometheus scrapes three brokers and two gateways")


if __name__ == "__main__":
    check_node(*sys.argv[1:])
    check_cluster(*sys.argv[1:])
