"""Start the dashboard: ``python scripts/serve.py --host 127.0.0.1 --port 8501`` (``make run`` does this)."""

import argparse
import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def refusal(host: str, port: int) -> str | None:
    """Why the dashboard can't listen there, as a sentence, or None when it can."""
    if not 1 <= port <= 65535:
        return f"{port} is not a port; ports go from 1 to 65535, for example: make run PORT=8502"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the server does: a port whose last connections are still closing counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return f"Port {port} is in use. Stop what uses it or choose another: make run PORT={port % 65535 + 1}"
        return f"Can't listen on {host}, port {port}: {error.strerror}. Choose with: make run HOST=127.0.0.1 PORT=8501"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the dashboard.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    args = parser.parse_args()

    if reason := refusal(args.host, args.port):
        print(reason, file=sys.stderr)
        return 1

    # `-m` puts the working directory on the import path and works wherever the environment was moved to.
    command = [sys.executable, "-m", "streamlit", "run", "dashboard/app.py"]
    command += ["--server.address", args.host, "--server.port", str(args.port)]
    server = subprocess.Popen(command, cwd=ROOT, env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ})

    # The terminal sends Ctrl-C to both processes; this one only waits, so that stopping is quiet.
    stopped = False

    def stop(number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        if number == signal.SIGTERM:
            server.terminate()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    code = server.wait()
    return 0 if stopped else code


if __name__ == "__main__":
    sys.exit(main())
