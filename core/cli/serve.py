"""``serve``: the dashboard with its REST API, or the API alone."""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from core import access, ports
from core.cli import output
from core.errors import UserError

_SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "serve.py"


def add(commands: Any) -> None:
    """Add the command to a parser."""
    serve = output.command(
        commands, "serve", _serve, "serve the dashboard with its REST API, or the API alone"
    )
    serve.add_argument("--api-only", action="store_true", help="without the pages")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8501)


def _serve(options: argparse.Namespace) -> None:
    if reason := ports.refusal(options.host, options.port):
        raise UserError(reason)
    if not options.api_only:
        sys.stdout.flush()
        # In the place of this process: its exit code is this one's, and what stops this stops the server.
        os.execv(
            sys.executable,
            [sys.executable, str(_SCRIPT), "--host", options.host, "--port", str(options.port)],
        )
    import uvicorn
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from core import api, pictures
    from core.search import shared
    from core.server.bodies import Bodies
    from core.server.hosts import Guard

    access.serve(options.host)
    print(f"The API is at http://{options.host}:{options.port}/api/docs", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        uvicorn.run(
            Guard(
                Starlette(
                    routes=[*api.routes(), *pictures.routes()],
                    middleware=[Middleware(Bodies)],
                    lifespan=shared.lifespan,
                ),
                options.host,
            ),
            host=options.host,
            port=options.port,
            log_level="warning",
        )
