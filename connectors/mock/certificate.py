"""A throw-away certificate for localhost, made at run time and trusted by nobody but who is told to."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from connectors.errors import ConfigError

HOSTS = ("localhost", "127.0.0.1", "::1")


class Certificate:
    """A fresh authority and one certificate for HOSTS. `ca_file` is a PEM that a client may trust
    (tls.ca_file).

    Raises ConfigError: the package `trustme` is not installed (extra "mock").
    """

    def __init__(self) -> None:
        try:
            import trustme
        except ImportError as error:
            raise ConfigError("TLS of the mock needs the package trustme: pip install trustme") from error
        authority = trustme.CA()
        self._leaf = authority.issue_cert(*HOSTS)
        self._directory = tempfile.TemporaryDirectory(prefix="mock-ca-")
        self.ca_file = Path(self._directory.name) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._leaf.configure_cert(context)
        return context

    def close(self) -> None:
        """Remove the file. Idempotent."""
        self._directory.cleanup()
