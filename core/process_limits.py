"""Limits of a process that reads files of strangers."""

import resource


def limit(memory: int) -> None:
    """Take address space from this process beyond so many bytes, and core dumps and writing to files."""
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            # Below the system's own limit, or not known to this system.
            continue
