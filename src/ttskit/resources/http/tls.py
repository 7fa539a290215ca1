"""TLS contexts and proxies, as the environment and the settings say."""

from __future__ import annotations

import os
import ssl
import urllib.request
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ttskit.errors import ConfigurationError
from ttskit.resources.http.address import Origin


@lru_cache(maxsize=8)
def tls_context(ca_file: Path | None, *, trust_env: bool) -> ssl.SSLContext:
    """Return the context for outgoing connections; building one takes tens of milliseconds.

    The certificates are those of ``ca_file``, else of ``SSL_CERT_FILE`` or ``SSL_CERT_DIR``, else
    of certifi, as in httpx.

    Raises:
        ConfigurationError: The file cannot be read or holds no certificate.
    """
    file: str | None = str(ca_file) if ca_file else None
    directory = None
    if file is None and trust_env:
        file = os.environ.get("SSL_CERT_FILE") or None
        directory = os.environ.get("SSL_CERT_DIR") or None
    if file is None and directory is None:
        import certifi  # only where it is needed

        file = certifi.where()
    try:
        context = ssl.create_default_context(cafile=file, capath=directory)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the certificates in {file} cannot be read ({type(error).__name__})", cause=error
        ) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def proxy_for(origin: Origin, *, trust_env: bool) -> str | None:
    """Return the proxy's URL that the environment names for an origin; None: go there directly.

    ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` in either case; on Windows and
    macOS the system's settings too.
    """
    if not trust_env:
        return None
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    if not proxy:
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def proxy_user(proxy: str) -> tuple[str, str] | None:
    """Return the name and the password in a proxy's URL; None: it has none."""
    parts = urlsplit(proxy)
    if parts.username is None:
        return None
    return unquote(parts.username), unquote(parts.password or "")
