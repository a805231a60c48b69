"""Names and addresses of machines, as headers and settings write them."""

import ipaddress
import re
import socket

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_][a-z0-9._-]{0,253}))(?::([0-9]{0,5}))?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse(text: str) -> str | None:
    """The name or address in a ``Host`` header, without its port; None when there is none.

    Returns
    -------
    host : in lower case, without a trailing dot; an IPv6 address in its short form and without brackets.
    """
    match = _HOST.fullmatch(text.lower())
    if match is None or int(match[3] or 0) > 65535:
        return None
    if match[1] is not None:
        found = address(match[1])
        return str(found) if found is not None and found.version == 6 else None
    name = match[2].removesuffix(".")
    return name if all(name.split(".")) else None


def address(host: str) -> Address | None:
    """The IP address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine and can't be reached from another one.

    Parameters
    ----------
    host : what a server listens on, a name or an address; None or an empty text is every address of the machine.
    """
    if not host:
        return False
    found = address(host)
    if found is not None:
        return _is_loopback(found)
    try:
        known = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(_is_loopback(ipaddress.ip_address(str(one).partition("%")[0])) for one in known)


def is_loopback_name(host: str) -> bool:
    """Whether every browser takes a host for its own machine, without asking a name server."""
    found = address(host)
    if found is not None:
        return _is_loopback(found)
    return host == "localhost" or host.endswith(".localhost")


def _is_loopback(found: Address) -> bool:
    # ::ffff:127.0.0.1 leads to 127.0.0.1.
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
