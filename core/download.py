"""Download a file with pooch, verify it and move it into place."""

from dataclasses import dataclass
from pathlib import Path

from core import access
from core.errors import UserError
from core.progress import Progress

TIMEOUT = 30  # seconds without an answer
_CHUNK = 1 << 16
_MEGABYTE = 1_000_000


class DownloadError(UserError):
    """A file that can't be had; ``unreachable`` where no other file of that server can be had either."""

    def __init__(self, reason: str, unreachable: bool = False):
        self.unreachable = unreachable
        super().__init__(reason)


def download(url: str, path: Path, known_hash: str | None, progress: Progress, label: str = "") -> Path:
    """Bring a file to a place, unless it is there already with the right hash.

    The file grows beside its place and is moved there once it is whole and has the hash.

    Parameters
    ----------
    known_hash : ``"sha256:..."`` or ``"md5:..."``; None takes what comes, and what is there, as it is.
    progress : receives the size, then a step for every megabyte.

    Raises
    ------
    AccessError : this process is a read-only server.
    DownloadError : no connection, a refusal, a connection that broke off, another content than expected, no room.
    """
    access.require_full("download weights or data")
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(
        progressbar=_Megabytes(progress, label or path.name), chunk_size=_CHUNK, timeout=TIMEOUT
    )
    try:
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=downloader)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "with an error"
        raise DownloadError(f"The server answered {status} for {url}.") from None
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError):
        raise DownloadError(
            f"The connection broke off before all of {path.name} was there; try again."
        ) from None
    except requests.exceptions.Timeout:
        raise DownloadError(f"{_host(url)} did not answer within {TIMEOUT:g} seconds.", True) from None
    except requests.RequestException as error:
        raise DownloadError(f"{_host(url)} can't be reached ({_cause(error)}).", True) from None
    except ValueError:
        raise DownloadError(
            f"What came as {path.name} is not what was published: its hash is another. It was thrown away."
        ) from None
    except OSError as error:
        raise DownloadError(f"{path.name} can't be written ({error.strerror or error}).") from None
    return path


def _host(url: str) -> str:
    return url.split("/")[2]


def _cause(error: BaseException) -> str:
    """The innermost reason in words: libraries wrap it several times."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


@dataclass
class _Megabytes:
    """What pooch takes for a bar."""

    progress: Progress
    label: str
    _total: int = 0
    _bytes: int = 0

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, size: int) -> None:
        self._total = size
        self.progress.stage(f"{self.label}, MB", max(1, round(size / _MEGABYTE)))

    def update(self, n: int) -> None:
        before = self._bytes // _MEGABYTE
        self._bytes += n
        if self._bytes <= max(self._total, _MEGABYTE):
            self.progress.step(self._bytes // _MEGABYTE - before)

    def reset(self) -> None:
        """Asked for at the end, to count once more from nothing: steps can't be taken back."""
        self._bytes = self._total

    def close(self) -> None:
        """The bar is the command's own."""
