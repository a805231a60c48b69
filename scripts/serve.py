"""Start the dashboard: ``python scripts/serve.py --host 127.0.0.1 --port 8501`` (``make run`` does this)."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core import ports  # noqa: E402
from core.errors import UserError  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description="Start the dashboard.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    args = parser.parse_args()

    if reason := ports.refusal(args.host, args.port):
        print(reason, file=sys.stderr)
        return 1
    try:
        from core import access

        read_only = access.read_only_at(args.host)
    except UserError as error:
        # A setting that can't be used.
        print(error, file=sys.stderr)
        return 1
    if read_only:
        print(
            "Read-only: visitors can't change collections, grids or models. PLAYGROUND_ACCESS=full lets whoever reaches this "
            "server change them.",
            flush=True,
        )

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
