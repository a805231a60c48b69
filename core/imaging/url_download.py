"""Download the image at a URL that a stranger typed, without lending them this machine's place in the network.

A name is resolved once, every address that it has is checked, and the connection is made to a checked address and to
nothing else: a name server that answers otherwise a moment later (DNS rebinding) is not asked again. Each redirect goes
through the same door. Certificates are checked against the name, not the address. Proxies, cookies and
passwords of the environment play no part.

One time limit covers everything from the first lookup to the last byte, since a limit for each read lets a slow
server hold a request for hours.

Why not a package: of those that exist for this, advocate rests on a urllib3 of 2020 and is no longer kept, the others are
months old or for asyncio, and none has the one time limit or the limit on size. So parsing is urllib3's, HTTP is ``http.client``'s, which
takes a socket that is connected already, and the few lines between them are here.
"""

import http.client
import io
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

import certifi
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from core.errors import UserError
from core.settings import settings

MAX_URL_LENGTH = 2048

_DEFAULT_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK_BYTES = 65_536
_HEADERS = {"User-Agent": "embedding-playground/1", "Accept": "image/*,*/*;q=0.5", "Connection": "close"}
# One address of several that does not answer must not take the time of all.
_CONNECT_SECONDS = 3
# A lookup can't be stopped, only left behind: so many may hang at once.
_lookups = threading.BoundedSemaphore(16)

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*", re.ASCII)
_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)

# The special-purpose registries of IANA. Not `is_global`, which counts some of these as global, others by
# the version of Python.
_NOT_PUBLIC_4 = [
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by customers of a carrier
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a public number, but Azure's own services for the machine
        "169.254.0.0/16",  # link-local, with the metadata services of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
# All that is public lies in here. Outside: loopback, unspecified, IPv4-mapped, NAT64, unique local, link-local, multicast.
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = [
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, benchmarking, ORCHID and other protocols
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which holds an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]
# What FETCH_PRIVATE opens: the own machine and network. Never the link, where clouds keep their credentials.
_PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
    )
]
# Clouds with a metadata service at an address that is private and not of the link.
_METADATA = {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class FetchError(UserError):
    """A URL whose image can't be had."""


@dataclass(frozen=True)
class _Target:
    """A URL in the parts that are used.

    host : ASCII name or address; path : with the query; named : what sentences call the host.
    """

    scheme: str
    host: str
    port: int
    path: str
    named: str

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


class _Deadline:
    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, above zero; TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def fetch_image(url: str) -> bytes:
    """The bytes behind a URL; whether they are an image is for :func:`core.imaging.decode.decode_guarded` to say.

    Parameters
    ----------
    url : of http or https, on a port of ``settings.FETCH_PORTS``, without a password, of a public host.

    Returns
    -------
    data : 1 to ``settings.MAX_IMAGE_BYTES`` bytes.

    Raises
    ------
    FetchError : the URL is not allowed or leads to an address that is not public, the server does not answer
        as it should, or a limit of ``core.settings`` is reached. A name with both public and other addresses
        is refused: honest names have no such mixture.
    """
    deadline = _Deadline(settings.FETCH_SECONDS)
    # Blanks around it come with copying; anywhere else they are refused.
    target = _parse(url.strip(" \t\r\n"))
    try:
        for _ in range(settings.FETCH_REDIRECTS + 1):
            answer = _get(target, deadline)
            if isinstance(answer, bytes):
                return answer
            target = _follow(target, answer)
    except TimeoutError:
        raise FetchError(f"The image did not arrive within {settings.FETCH_SECONDS} s.") from None
    raise FetchError(f"The URL redirects more than {settings.FETCH_REDIRECTS} times.")


def _follow(target: _Target, location: str) -> _Target:
    try:
        _check_characters(location, "The URL that it redirects to")
        joined = urljoin(target.url, location)
    except ValueError:
        raise FetchError("The URL redirects to something that is not a URL.") from None
    return _parse(joined, redirected=True)


def _parse(url: str, redirected: bool = False) -> _Target:
    what = "The URL that it redirects to" if redirected else "The URL"
    _check_characters(url, what)
    authority = _AUTHORITY.match(url)
    if not authority or not authority[1]:
        raise FetchError(f"{what} must begin with http:// or https:// and a host.")
    if "@" in authority[1]:
        raise FetchError(f"{what} has a user name or password in it; only images that need none are fetched.")
    try:
        parts = parse_url(url)
    except HTTPError:
        raise FetchError(f"{what} is not a valid URL.") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise FetchError(f"{what} must begin with http:// or https://.")
    port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    if port not in settings.FETCH_PORTS:
        allowed = " and ".join(str(port) for port in settings.FETCH_PORTS)
        raise FetchError(f"{what} names port {port}; only {allowed} can be fetched from.")
    host = _host(parts.host or "", what)
    named = "the host that the URL redirects to" if redirected else host
    return _Target(parts.scheme, host, port, parts.request_uri, named)


def _check_characters(url: str, what: str) -> None:
    if len(url) > MAX_URL_LENGTH:
        raise FetchError(f"{what} is longer than {MAX_URL_LENGTH} characters.")
    # Browsers, servers and libraries disagree on what these mean.
    if "\\" in url or any(char.isspace() or not char.isprintable() for char in url):
        raise FetchError(f"{what} has a blank, a backslash or a character that can't be seen in it.")


def _host(text: str, what: str) -> str:
    """A host name or an address in its one usual form."""
    host = text.lower().removesuffix(".")
    if host.startswith("["):
        try:
            # The part after % names a network card of this machine.
            return str(ipaddress.IPv6Address("%" if "%" in host else host.strip("[]")))
        except ValueError:
            raise FetchError(f"{what} has a host that is not a valid IPv6 address.") from None
    # C libraries read 127.1, 0x7f000001, 0177.0.0.1 and 2130706433 as addresses; here, one spelling will do.
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise FetchError(
                f"{what} has a host that is not a valid address; write it as four decimal numbers."
            ) from None
    if len(host) > 253 or not _NAME.fullmatch(host):
        raise FetchError(f"{what} has a host that is not a valid name.")
    return host


def _get(target: _Target, deadline: _Deadline) -> bytes | str:
    """The body of the answer, or where it redirects to."""
    addresses = _addresses(target, deadline)
    try:
        with _connect(addresses, target.port, deadline) as plain, _secure(plain, target, deadline) as channel:
            return _talk(channel, target, deadline)
    except TimeoutError:
        raise
    except ssl.SSLCertVerificationError:
        raise FetchError(
            f"The certificate of {target.named} is not one for that name that can be trusted."
        ) from None
    except OSError:
        raise FetchError(f"No connection to {target.named} could be made or kept.") from None
    except http.client.IncompleteRead:
        raise FetchError(_ended_early(target)) from None
    except (http.client.HTTPException, ValueError):
        raise FetchError(f"The answer of {target.named} is not one of a web server.") from None


def _talk(channel: socket.socket, target: _Target, deadline: _Deadline) -> bytes | str:
    kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = kind(target.host, target.port)
    connection.sock = _TimedSocket(channel, deadline)
    # It may never connect by itself: it would look the name up again.
    connection.auto_open = 0
    connection.request("GET", target.path, headers=_HEADERS)
    response = connection.getresponse()
    if response.status in _REDIRECTS:
        if not (location := response.getheader("Location")):
            raise FetchError(f"{target.named} redirects to nowhere.")
        return location
    if response.status != HTTPStatus.OK:
        raise FetchError(f"{target.named} answers with status {response.status} instead of an image.")
    return _body(response, target)


def _body(response: http.client.HTTPResponse, target: _Target) -> bytes:
    # Compressed answers were not requested, and a small one can unpack to a huge one.
    encodings = [response.getheader(name, "") for name in ("Content-Encoding", "Transfer-Encoding")]
    if encodings[0].strip().lower() not in ("", "identity") or encodings[1].strip().lower() not in (
        "",
        "chunked",
    ):
        raise FetchError(f"{target.named} sends the image in an encoding that was not requested.")
    limit = settings.MAX_IMAGE_BYTES
    expected = response.length
    data = bytearray()
    # What the header says is believed only where it shortens the way.
    if expected is None or expected <= limit:
        while len(data) <= limit and (chunk := response.read(_CHUNK_BYTES)):
            data += chunk
    if len(data) > limit or (expected or 0) > limit:
        raise FetchError(f"The image is larger than the {limit / 1e6:g} MB allowed.")
    if expected is not None and len(data) < expected:
        raise FetchError(_ended_early(target))
    if not data:
        raise FetchError(f"{target.named} answers with nothing.")
    return bytes(data)


def _ended_early(target: _Target) -> str:
    return f"The connection to {target.named} ended before the image was complete."


def _addresses(target: _Target, deadline: _Deadline) -> list[_Address]:
    """The checked addresses of a host.

    Raises
    ------
    FetchError : it has none, or one that is not public; which of these it is stays untold, so that nobody can
        ask for the names of an inner network.
    """
    try:
        found = [ipaddress.ip_address(target.host)]
    except ValueError:
        found = _lookup(target.host, deadline)
    if not found or not all(_is_allowed(address) for address in found):
        raise FetchError(f"There is no public web server at {target.named}.")
    return found


def _lookup(host: str, deadline: _Deadline) -> list[_Address]:
    answers: queue.SimpleQueue[list[tuple[Any, ...]]] = queue.SimpleQueue()

    def ask() -> None:
        found: list[tuple[Any, ...]] = []
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            pass  # No such name: no addresses.
        finally:
            _lookups.release()
            answers.put(found)

    if not _lookups.acquire(timeout=deadline.left()):
        raise TimeoutError
    threading.Thread(target=ask, name="lookup", daemon=True).start()
    try:
        found = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError from None
    texts = dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found)
    return [ipaddress.ip_address(text) for text in texts]


def _is_allowed(address: _Address) -> bool:
    if (
        settings.FETCH_PRIVATE
        and address not in _METADATA
        and any(address in network for network in _PRIVATE)
    ):
        return True
    if address.version == 4:
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _connect(addresses: list[_Address], port: int, deadline: _Deadline) -> socket.socket:
    failure: OSError = OSError("no address")
    for address in addresses:
        try:
            return _open(address, port, min(_CONNECT_SECONDS, deadline.left()))
        except OSError as error:
            failure = error
    deadline.left()
    # Time may be over for an address, not for the whole.
    raise OSError(str(failure))


def _open(address: _Address, port: int, seconds: float) -> socket.socket:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    channel = socket.socket(family, socket.SOCK_STREAM)
    try:
        channel.settimeout(seconds)
        channel.connect((str(address), port))
    except BaseException:
        channel.close()
        raise
    return channel


def _secure(channel: socket.socket, target: _Target, deadline: _Deadline) -> socket.socket:
    if target.scheme == "http":
        return channel
    # One limit for the whole handshake, however slowly it drips.
    channel.settimeout(deadline.left())
    return _trust().wrap_socket(channel, server_hostname=target.host)


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    # The system's authorities, which an organization may have added to, and the usual ones where it has none.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class _TimedSocket:
    """What ``http.client`` needs of a socket, each wait bounded by the one deadline. Closing is up to the caller."""

    def __init__(self, channel: socket.socket, deadline: _Deadline):
        self._channel, self._deadline = channel, deadline

    def sendall(self, data: bytes) -> None:
        self._channel.settimeout(self._deadline.left())
        self._channel.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._channel, self._deadline), _CHUNK_BYTES)

    def close(self) -> None:
        """Nothing: an answer may still be read after the connection has been given up."""


class _TimedReader(io.RawIOBase):
    def __init__(self, channel: socket.socket, deadline: _Deadline):
        self._channel, self._deadline = channel, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._channel.settimeout(self._deadline.left())
        return self._channel.recv_into(buffer)
