"""Real servers on loopback for DVC's remotes: S3-compatible, SSH and WebDAV, and a toy pipeline."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.pipeline.checkout import Checkout

USER, PASSWORD = "someone", "correct-horse"
BUCKET = "data"
PIPELINE = """\
stages:
  base:
    cmd: python toy.py base data/base
    params: [base]
    deps: [toy.py]
    outs: [data/base]
  warmup:
    cmd: python toy.py warmup data/warmup data/base
    params: [warmup]
    deps: [toy.py, data/base]
    outs:
      - data/warmup: {push: false}
  prefs:
    cmd: python toy.py prefs data/prefs data/base
    params: [prefs]
    deps: [toy.py, data/base]
    outs: [data/prefs]
  influence:
    cmd: python toy.py influence data/influence data/warmup
    params: [influence]
    deps: [toy.py, data/warmup]
    outs: [data/influence]
  teacher:
    cmd: python toy.py teacher data/teacher data/prefs
    deps: [toy.py, data/prefs]
    outs: [data/teacher]
"""
SCRIPT = """\
import pathlib, sys
name, out, *deps = sys.argv[1:]
params = dict(line.split(": ") for line in open("params.yaml").read().splitlines())
text = params.get(name, "") + "".join(open(f"{dep}/0").read() for dep in deps)
for number in range(3):
    path = pathlib.Path(out, str(number))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{name} {text} {number * (name == 'base')}\\n")
"""


@dataclass
class Remote:
    """Where a remote is: its address, settings for config.local, variables of the environment."""

    url: str
    settings: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


class Clone(Checkout):
    """A clone of the toy pipeline, with the environment that its remote wants."""

    def __init__(self, root: Path, remote: Remote) -> None:
        super().__init__(root)
        self.remote = remote

    @property
    def environment(self) -> dict[str, str]:
        """With what the remote wants."""
        return super().environment | self.remote.environment

    def add_remote(self) -> None:
        """Name the remote, and what it wants, in config.local."""
        self.run("dvc", "remote", "add", "--local", "--force", "-d", "shared", self.remote.url)
        for key, value in self.remote.settings.items():
            self.run("dvc", "remote", "modify", "--local", "shared", key, value)

    def set_param(self, name: str, value: int) -> None:
        """Change a line of params.yaml."""
        path = self.root / "params.yaml"
        lines = [line for line in path.read_text().splitlines() if not line.startswith(name)]
        path.write_text("\n".join(sorted([*lines, f"{name}: {value}"])) + "\n")

    def read_data(self) -> dict[str, bytes]:
        """Every file below data/, but what is not pushed."""
        files = [path for path in self.root.glob("data/*/*") if path.parent.name != "warmup"]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


def make_toy(place: Path, remote: Remote) -> Clone:
    """A clone, `first`, in which the toy pipeline has run; its git remote is a bare repository."""
    first = Clone(place / "first", remote)
    first.root.mkdir(parents=True)
    (first.root / "dvc.yaml").write_text(PIPELINE)
    (first.root / "toy.py").write_text(SCRIPT)
    (first.root / "params.yaml").write_text("base: 1\ninfluence: 1\nprefs: 1\nwarmup: 1\n")
    first.run("git", "init", "--quiet", "--initial-branch", "main")
    first.run("dvc", "init", "--quiet")
    first.repro("--quiet")
    first.commit()
    first.run("git", "clone", "--quiet", "--bare", ".", str(place / "origin.git"))
    first.run("git", "remote", "add", "origin", str(place / "origin.git"))
    first.run("git", "fetch", "--quiet", "origin")
    first.run("git", "branch", "--quiet", "--set-upstream-to", "origin/main")
    first.add_remote()
    return first


def clone_of(first: Clone, name: str = "second") -> Clone:
    """Another clone of the same repository, with the same remote."""
    place = first.root.parent / "another" / "place" / name
    first.run("git", "clone", "--quiet", str(first.root.parent / "origin.git"), str(place))
    made = Clone(place, first.remote)
    made.add_remote()
    return made


# --------------------------------------------------------------------------------------- servers
@contextmanager
def serve_folder(place: Path) -> Iterator[Remote]:
    """A folder, as on a disk that all can reach."""
    (place / "store").mkdir(parents=True)
    yield Remote(str(place / "store"))


@contextmanager
def serve_s3(place: Path, bucket: str = BUCKET) -> Iterator[Remote]:
    """moto's server with one bucket; it takes any key."""
    import boto3
    from moto import settings
    from moto.server import ThreadedMotoServer

    settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")  # an earlier server may compare keys
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    key = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    try:
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_bucket(Bucket=BUCKET)
        yield Remote(f"s3://{bucket}/store", {"endpointurl": url, "region": "us-east-1"}, key)
    finally:
        server.stop()


@contextmanager
def serve_ssh(place: Path) -> Iterator[Remote]:
    """asyncssh's server, with SFTP and a key."""
    import asyncssh

    place.mkdir(parents=True, exist_ok=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(place / "key")
    key.write_public_key(place / "key.pub")
    (place / "key").chmod(0o600)
    loop, started = asyncio.new_event_loop(), threading.Event()
    found: list[asyncssh.SSHAcceptor] = []

    async def listen() -> None:
        found.append(
            await asyncssh.listen(
                "127.0.0.1",
                0,
                server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
                authorized_client_keys=str(place / "key.pub"),
                sftp_factory=True,
            )
        )
        started.set()

    def serve() -> None:
        asyncio.set_event_loop(loop)
        loop.create_task(listen())
        loop.run_forever()

    threading.Thread(target=serve, daemon=True).start()
    assert started.wait(60)
    (place / "store").mkdir()
    settings = {"keyfile": str(place / "key"), "allow_agent": "false"}
    try:
        yield Remote(f"ssh://{USER}@127.0.0.1:{found[0].get_port()}{place}/store", settings)
    finally:
        loop.call_soon_threadsafe(found[0].close)
        loop.call_soon_threadsafe(loop.stop)


@contextmanager
def serve_webdav(place: Path) -> Iterator[Remote]:
    """wsgidav behind cheroot, with a user and a password; full while there is a file `full`."""
    from cheroot.wsgi import Server
    from wsgidav.wsgidav_app import WsgiDAVApp

    (place / "dav" / "store").mkdir(parents=True)
    users = {"*": {USER: {"password": PASSWORD}}}
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(place / "dav")},
            "simple_dc": {"user_mapping": users},
            "http_authenticator": {"accept_basic": True, "accept_digest": False},
            "logging": {"enable": False},
            "verbose": 0,
        }
    )

    def limited(environ, start_response):
        if environ["REQUEST_METHOD"] == "PUT" and (place / "full").exists():
            start_response("507 Insufficient Storage", [("content-length", "0")])
            return [b""]
        return app(environ, start_response)

    server = Server(("127.0.0.1", 0), limited, numthreads=8)
    server.prepare()
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        url = f"webdav://127.0.0.1:{server.bind_addr[1]}/store"
        yield Remote(url, {"user": USER, "password": PASSWORD})
    finally:
        server.stop()


SERVERS = {
    "folder": (serve_folder, ()),
    "s3": (serve_s3, ("dvc_s3", "moto", "flask")),
    "ssh": (serve_ssh, ("dvc_ssh", "asyncssh")),
    "webdav": (serve_webdav, ("dvc_webdav", "wsgidav", "cheroot")),
}
