"""Whether this process may change what users keep here: collections, grids and models.

A command runs for the user of this machine and may change everything. A server runs for whoever reaches it: one that listens beyond
this machine is read-only unless the setting ``ACCESS`` says otherwise. What only serves reading, such as caches, projections and
downloads, goes on.
"""

from core import hostnames
from core.errors import AccessError
from core.settings import settings

_read_only = False


def serve(address: str | None) -> None:
    """Set what the visitors of this process may do; called by a server before its first request.

    Parameters
    ----------
    address : what it listens on; None is every address of the machine.
    """
    global _read_only
    _read_only = read_only_at(address)


def read_only_at(address: str | None) -> bool:
    """Whether a server that listens there is read-only."""
    if settings.ACCESS is not None:
        return settings.ACCESS == "read"
    return not hostnames.is_loopback(address)


def is_read_only() -> bool:
    """Whether this process changes nothing."""
    return _read_only


def require_full(action: str) -> None:
    """Called before anything is changed.

    Parameters
    ----------
    action : what is about to be done, such as ``"delete a collection"``.

    Raises
    ------
    AccessError : this process is a read-only server.
    """
    if _read_only:
        raise AccessError(
            f"This server is read-only and can't {action}. Start it with PLAYGROUND_ACCESS=full to allow changes, or use the "
            "command line on its machine."
        )
