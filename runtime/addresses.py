"""Which addresses a setting may be."""

import re
from collections.abc import Collection
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = r"(\[[^\[\]]*\]|[^:\[\]]*)(:\d{1,5})?"
_HOSTS: Final = re.compile(rf"{_HOST}(,{_HOST})*", re.ASCII)


def has_scheme(url: str, schemes: Collection[str]) -> bool:
    return urlsplit(url).scheme in schemes


def names_hosts(url: str, schemes: Collection[str]) -> bool:
    """Whether it has one of the schemes, and one or more hosts, each with a port or without."""
    return has_scheme(url, schemes) and _HOSTS.fullmatch(urlsplit(url).netloc.rpartition("@")[2]) is not None


def is_https_or_loopback(text: str) -> bool:
    """Whether it is an address of a host and port alone, by https, or by http on this machine."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return False
    # The receiver answers at /webhooks/ only; a user would be told to Pipedrive instead of the company's own.
    if not url.hostname or port == 0 or "@" in url.netloc or url.path.strip("/") or url.query or url.fragment:
        return False
    return url.scheme == "https" or (url.scheme == "http" and _is_loopback(url.hostname))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
