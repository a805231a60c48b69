"""``run``: the dashboard with its REST API, or the API alone."""

import argparse
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from core.cli import output
from core.errors import UserError

# The folder that holds core and dashboard.
_ROOT = Path(__file__).resolve().parents[2]


def add(commands: Any) -> None:
    """Add the command to a parser."""
    run = output.command(
        commands, "run", _run, "start the dashboard with its REST API, or the API alone", aliases=["serve"]
    )
    run.add_argument("--api-only", action="store_true", help="serve the REST API without the pages")
    run.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    run.add_argument("--port", type=int, default=8501, help="port to listen on (default: 8501)")


def _run(options: argparse.Namespace) -> None:
    from core.server import ports

    if reason := ports.refusal(options.host, options.port):
        raise UserError(reason)
    if options.api_only:
        _run_api(options.host, options.port)
    else:
        sys.exit(_run_dashboard(options.host, options.port))


def _run_dashboard(host: str, port: int) -> int:
    """Run Streamlit until it ends or is stopped; returns its exit code, 0 when stopped."""
    # -P and PYTHONPATH: the server runs the same code as this process, whatever lies in the working directory.
    command = [sys.executable, "-P", "-m", "streamlit", "run", str(_ROOT / "dashboard" / "app.py")]
    command += ["--server.address", host, "--server.port", str(port)]
    path = os.pathsep.join(part for part in (str(_ROOT), os.environ.get("PYTHONPATH")) if part)
    server = subprocess.Popen(command, env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": path})

    # The terminal sends Ctrl-C to both processes; this one only waits, so that stopping is quiet.
    stopped = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        if number == signal.SIGTERM:
            server.terminate()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    # While the server imports what it needs.
    try:
        _say_access(host)
    except UserError:
        # It would fail over the same setting.
        server.kill()
        server.wait()
        raise
    code = server.wait()
    return 0 if stopped else code


def _say_access(host: str) -> None:
    """Say where a server is read-only; raises UserError where a setting can't be used."""
    from core import access

    if access.read_only_at(host):
        print(
            "Read-only: visitors can't change collections, grids or models. PLAYGROUND_ACCESS=full lets whoever reaches this "
            "server change them.",
            flush=True,
        )


def _run_api(host: str, port: int) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from core import access
    from core.search import shared_engine
    from core.server import routes
    from core.server.bodies import Bodies
    from core.server.hosts import Guard

    access.serve(host)
    print(f"The API is at http://{host}:{port}/api/docs", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        uvicorn.run(
            Guard(
                Starlette(
                    routes=routes.api_routes(),
                    middleware=[Middleware(Bodies)],
                    lifespan=shared_engine.lifespan,
                ),
                host,
            ),
            host=host,
            port=port,
            log_level="warning",
        )
