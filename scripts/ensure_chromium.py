"""Find the Chromium that the browser tests drive; as a script, install one where there is none."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
HOW = (
    "No Chromium was found. Install one with your system's package manager, or name the program's path in the "
    "environment variable CHROMIUM."
)


def find_chromium() -> str | None:
    """Path of a Chromium or Chrome that runs, or None. The environment variable CHROMIUM comes first and alone."""
    if named := os.environ.get("CHROMIUM"):
        path = shutil.which(named)
        return path if path and _runs(path) else None
    return next((path for path in _candidates() if _runs(path)), None)


def _candidates() -> Iterator[str]:
    yield from filter(None, map(shutil.which, COMMANDS))
    yield from (app for app in MAC_APPS if Path(app).exists())
    # Asked last: it starts Playwright's driver.
    ask = "from playwright.sync_api import sync_playwright as s\nwith s() as p: print(p.chromium.executable_path)"
    answer = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    if answer.returncode == 0 and Path(path := answer.stdout.strip()).is_file():
        yield path


def _runs(path: str) -> bool:
    """False also for the stubs that some distributions put in place of a browser, to point to a package."""
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _installers() -> Iterator[list[list[str]]]:
    """Ways to install one, as commands to run in turn, the platform's own first."""
    if shutil.which("apt-get"):
        sudo = _root_prefix()
        if sudo is not None:
            apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
            install = [*apt, "install", "-y", "-q", "--no-install-recommends", "chromium"]
            yield [[*apt, "update", "-q"], install]
    elif shutil.which("brew"):
        yield [["brew", "install", "--cask", "chromium"]]
    yield [[sys.executable, "-m", "playwright", "install", "chromium"]]


def _root_prefix() -> list[str] | None:
    """What to put before a command that needs root: nothing, sudo where it asks for no password, else None."""
    if os.geteuid() == 0:
        return []
    asks_nothing = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True)
    return ["sudo", "-n"] if asks_nothing and asks_nothing.returncode == 0 else None


def main() -> int:
    if find_chromium():
        return 0
    if named := os.environ.get("CHROMIUM"):
        print(f"CHROMIUM is {named!r}, which is not a program that runs.", file=sys.stderr)
        return 1
    for commands in _installers():
        print("Installing Chromium:", " && ".join(" ".join(command) for command in commands), flush=True)
        if all(subprocess.run(command).returncode == 0 for command in commands) and find_chromium():
            return 0
    print(HOW, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
