"""Check before a server starts whether it can listen at an address."""

import errno
import socket


def refusal(host: str, port: int) -> str | None:
    """Why nothing can listen there, as a sentence, or None when it can."""
    if not 1 <= port <= 65535:
        return f"{port} is not a port; ports go from 1 to 65535, for example 8502."
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            # As the server does: a port whose last connections are still closing counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return (
                f"Port {port} is in use. Stop what uses it or choose another, for example {port % 65535 + 1}."
            )
        return f"Can't listen on {host}, port {port}: {error.strerror}. Choose another host, for example 127.0.0.1."
    return None
