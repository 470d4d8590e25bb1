#!/usr/bin/env python3
"""Starts what a compose file describes on a machine without Docker, as root.

Commands, environment, volumes, health checks and the order of starts are those of the file, and those of the
Dockerfile for our own image. Each service has a network namespace with its own address, /etc/hosts with
the names of all, and a root directory of its own: the machine's, under a layer that goes with it. Images of
others are replaced by the same programs of this machine (PROGRAMS); services without one are named and left out.

    with Compose("docker/compose.cluster.yaml", binary) as services:
        services.up()
        services.address("balancer")
"""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
READY_SECONDS = 60

# What stands in for an image: its entry point, and a health check where the file's needs more than is here.
POSTGRES = """
PATH=$PATH:$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb | sort -V | tail -1)")
data=/var/lib/postgresql/data
chown postgres $data
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
[ -s $data/PG_VERSION ] || { printf %s "$POSTGRES_PASSWORD" > /password; chown postgres /password
  as_postgres initdb -D $data -U "$POSTGRES_USER" --pwfile=/password -A scram-sha-256 >/dev/null
  echo "host all all all scram-sha-256" >> $data/pg_hba.conf
  echo "CREATE DATABASE $POSTGRES_USER" | as_postgres postgres --single -D $data postgres >/dev/null; }
exec setpriv --reuid=postgres --regid=postgres --clear-groups postgres -D $data -k /tmp -c listen_addresses='*'
"""
PROGRAMS = {
    "postgres": {"entrypoint": ["sh", "-euc", POSTGRES]},
    "minio/minio": {
        "needs": ["minio"],
        "healthy": ["curl", "-sf", "http://127.0.0.1:9000/minio/health/ready"],
    },
    "haproxy": {
        "needs": ["haproxy"],
        "entrypoint": ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
        "healthy": ["curl", "-sf", "http://127.0.0.1:8080/readyz"],
    },
    "prom/prometheus": {"needs": ["prometheus"], "entrypoint": ["prometheus"]},
}


def run(*command, **options):
    return subprocess.run(command, check=True, **options)


def interpolated(value):
    """A value of the file with ${NAME:-default} replaced, wherever it stands."""
    if isinstance(value, dict):
        return {key: interpolated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each) for each in value]
    if isinstance(value, str):
        pattern = r"\$\{(\w+):-([^}]*)\}"
        value = re.sub(pattern, lambda m: os.environ.get(m[1]) or m[2], value)
        return value.replace("$$", "$")
    return value


def as_words(value):
    """A command of the file, which is a list or a line."""
    return shlex.split(value) if isinstance(value, str) else [str(word) for word in value or []]


def our_image():
    """What the last stage of the Dockerfile says about running it."""
    text = (HERE / "Dockerfile").read_text().replace("\\\n", " ")
    stage = re.split(r"^FROM ", text, flags=re.M)[-1]
    said = dict(re.findall(r"^(ENTRYPOINT|CMD|USER|ENV|HEALTHCHECK|VOLUME) +(.*)$", stage, flags=re.M))
    return {
        "entrypoint": json.loads(said["ENTRYPOINT"]),
        "command": json.loads(said["CMD"]),
        "environment": dict([said["ENV"].split("=", 1)]),
        "user": said["USER"],
        "home": said["VOLUME"],
        "healthy": json.loads(said["HEALTHCHECK"].split("CMD", 1)[1]),
    }


class Service:
    def __init__(self, compose, number, name, text):
        self.compose, self.name, self.text = compose, name, text
        self.namespace = f"{compose.prefix}-{number}"
        self.address = f"{compose.network}.{number + 1}"
        image = text["image"].split(":")[0]
        self.is_ours = image == "headwater"
        self.image = our_image() if self.is_ours else PROGRAMS.get(image)
        self.process = None

    def missing(self):
        """Why it cannot run here, if so."""
        if self.image is None:
            return f"nothing stands in for {self.text['image']}"
        absent = [tool for tool in self.image.get("needs", []) if not self.compose.find(tool)]
        return f"{absent[0]} is not installed" if absent else None

    def words(self):
        entrypoint = as_words(self.text.get("entrypoint")) or self.image.get("entrypoint", [])
        return entrypoint + (as_words(self.text.get("command")) or self.image.get("command", []))

    def environment(self):
        given = {**self.image.get("environment", {}), **self.text.get("environment", {})}
        return {"PATH": os.environ["PATH"], **{key: str(each) for key, each in given.items()}}

    def root(self):
        """The shell lines that make its root directory, in a mount namespace of its own."""
        root = f"{self.compose.directory}/roots/{self.name}"
        top = f"{root}/merged"
        yield f"mkdir -p {root} && mount -t tmpfs tmpfs {root} && mkdir {root}/upper {root}/work {top}"
        yield f"mount -t overlay overlay -o lowerdir=/,upperdir={root}/upper,workdir={root}/work {top}"
        for each in ("proc", "dev", "sys"):
            yield f"mount --rbind /{each} {top}/{each}"
        yield f"mount -t tmpfs -o mode=1777 tmpfs {top}/tmp"
        yield f"cp {self.compose.directory}/hosts {top}/etc/hosts && : > {top}/etc/resolv.conf"
        for program in self.compose.programs:
            yield f"cp --reflink=auto {program} {top}/usr/local/bin/{program.name}"
        if home := self.image.get("home"):
            uid, gid = self.image["user"].split(":")
            yield f"install -d -m 700 -o {uid} -g {gid} {top}{home}"
        for volume in self.text.get("volumes", []):
            source, target, *mode = volume.split(":")
            source = HERE / source if source.startswith(".") else self.compose.volume(source, self)
            kind = "-d" if source.is_dir() else "-f"
            make = f"mkdir -p {top}{target}" if kind == "-d" else f"install -D /dev/null {top}{target}"
            yield f"{make} && mount --bind {source} {top}{target}"
            if mode == ["ro"]:
                yield f"mount -o remount,bind,ro {top}{target}"
        if self.text.get("read_only"):
            yield f"mount -o remount,ro {top}"
        self.top = top

    def inside(self, words, directory="/"):
        """The command that runs words in its root and as its user."""
        become = []
        if user := self.image.get("user"):
            uid, gid = user.split(":")
            become = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
        change = 'cd "$1" && shift && exec "$@"'
        return ["chroot", self.top, *become, "sh", "-c", change, "sh", directory, *words]

    def start(self):
        directory = self.text.get("working_dir") or self.image.get("home", "/")
        lines = " && ".join(self.root())
        script = f"{lines} && exec {shlex.join(self.inside(self.words(), directory))}"
        log = open(self.log(), "ab")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.namespace, "sh", "-euc", script],
            env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )

    def log(self):
        return self.compose.directory / f"{self.name}.log"

    def enter(self, words, **options):
        """Runs words where the service runs, as `docker compose exec` does."""
        pid = str(self.process.pid)
        command = ["nsenter", "-t", pid, "-n", "-m", *self.inside(words)]
        return subprocess.run(command, env=self.environment(), capture_output=True, text=True, **options)

    def is_healthy(self):
        check = self.image.get("healthy") or as_words(self.text.get("healthcheck", {}).get("test"))[1:]
        return not check or self.enter(check).returncode == 0

    def kill(self, with_signal=signal.SIGKILL):
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=READY_SECONDS)


class Compose:
    """The services of a file, in namespaces whose names begin with `prefix`."""

    def __init__(self, file, binary, programs=(), prefix="hwd", network="10.231.77"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="headwater-"))
        self.directory.chmod(0o755)
        self.prefix, self.network = prefix, network
        self.programs = [pathlib.Path(binary).resolve(), *(pathlib.Path(p).resolve() for p in programs)]
        text = interpolated(yaml.safe_load(pathlib.Path(file).read_text()))
        services = text["services"].items()
        self.services = {
            name: Service(self, number, name, each)
            for number, (name, each) in enumerate(services, 1)
            if "profiles" not in each
        }

    def find(self, tool):
        if any(program.name == tool for program in self.programs):
            return True
        return any(os.access(f"{path}/{tool}", os.X_OK) for path in os.environ["PATH"].split(":"))

    def volume(self, name, service):
        directory = self.directory / "volumes" / name
        if not directory.exists():
            directory.mkdir(parents=True)
            if service.is_ours:
                # A new volume takes its owner from the image's directory.
                os.chown(directory, *map(int, service.image["user"].split(":")))
        return directory

    def address(self, name):
        return self.services[name].address

    def up(self):
        """Starts all, each when what it depends on is as it says."""
        hosts = [f"{each.address} {each.name}\n" for each in self.services.values()]
        (self.directory / "hosts").write_text("127.0.0.1 localhost\n" + "".join(hosts))
        bridge = f"{self.prefix}-br"
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.network}.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        waiting = {}
        for service in self.services.values():
            if why := service.missing():
                print(f"skipped: {service.name} ({why})", flush=True)
            else:
                self.connect(service, bridge)
                waiting[service.name] = service
        deadline = time.monotonic() + READY_SECONDS
        while waiting:
            for service in list(waiting.values()):
                if self.may_start(service):
                    service.start()
                    del waiting[service.name]
            self.check(deadline, f"{', '.join(waiting)} cannot start")
        while not all(self.is_well(service) for service in self.running()):
            ill = [each.name for each in self.running() if not self.is_well(each)]
            self.check(deadline, f"{', '.join(ill)} not healthy")

    def connect(self, service, bridge):
        name = service.namespace
        run("ip", "netns", "add", name)
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", name, "master", bridge, "up")
        run("ip", "-n", name, "addr", "add", f"{service.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            run("ip", "-n", name, "link", "set", link, "up")

    def may_start(self, service):
        needs = service.text.get("depends_on", {})
        return all(self.holds(self.services[name], need["condition"]) for name, need in needs.items())

    def holds(self, service, condition):
        if service.missing():
            return True
        if service.process is None:
            return False
        if condition == "service_completed_successfully":
            return service.process.poll() == 0
        return service.process.poll() is None and service.is_healthy()

    def running(self):
        return [service for service in self.services.values() if service.process]

    def is_well(self, service):
        ended = service.process.poll()
        return ended == 0 if ended is not None else service.is_healthy()

    def check(self, deadline, what):
        for service in self.running():
            if service.process.poll():
                raise SystemExit(f"{service.name} failed:\n{service.log().read_text()[-800:]}")
        if time.monotonic() > deadline:
            logs = [f"--- {each.name}\n{each.log().read_text()[-800:]}" for each in self.running()]
            raise SystemExit("\n".join([f"{what} after {READY_SECONDS} s", *logs]))
        time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for service in self.services.values():
            # Children too, of those that have some.
            pids = subprocess.run(["ip", "netns", "pids", service.namespace], capture_output=True, text=True)
            for pid in pids.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            if service.process:
                service.process.wait()
            subprocess.run(["ip", "netns", "del", service.namespace], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "del", f"{self.prefix}-br"], stderr=subprocess.DEVNULL)
        run("rm", "-rf", str(self.directory))


def main():
    if len(sys.argv) < 3:
        raise SystemExit("usage: without_docker.py COMPOSE_FILE HEADWATER_BINARY [PROGRAM...]")
    with Compose(sys.argv[1], sys.argv[2], sys.argv[3:]) as compose:
        compose.up()
        for service in compose.running():
            print(f"{service.name:12} {service.address}  log: {service.log()}")
        print("Ctrl-C ends it.", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
