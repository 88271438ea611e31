"""What the environment says of the way to a server: proxies, and the certificates that are trusted."""

from __future__ import annotations

import ipaddress
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def proxy_of(url: str) -> str | None:
    """The proxy for a URL, from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY as curl reads them; None for none."""
    found = getproxies()
    parts = urlsplit(url)
    proxy = found.get(parts.scheme) or found.get("all")
    if not proxy or _is_exempt(parts.hostname or "", parts.port, found.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_exempt(host: str, port: int | None, no_proxy: str) -> bool:
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    return any(_matches(host, port, entry) for entry in entries if entry)


def _matches(host: str, port: int | None, entry: str) -> bool:
    """Whether an entry of NO_PROXY means a host: a name with the names below it, an address or a network, or `*`."""
    if entry == "*":
        return True
    entry = entry.rpartition("://")[2]
    network = _network(entry.strip("[]"))
    if network is not None:
        address = _network(host)
        return address is not None and address.version == network.version and address.network_address in network
    name, _, of_port = entry.partition(":")
    if of_port and of_port != str(port):
        return False
    if name.startswith((".", "*.")):
        return host.endswith(name.removeprefix("*"))
    return host == name or (name != "localhost" and host.endswith(f".{name}"))


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def trusted_certificates() -> ssl.SSLContext:
    """The certificates of SSL_CERT_FILE or SSL_CERT_DIR, else those that the system trusts."""
    import httpx2  # as downloads and openai's client find them; loaded only where a server is asked over TLS

    return httpx2.create_ssl_context()
