"""A throw-away authority for mocks with TLS, made at run time and trusted by nobody but who is told to."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from connectors.errors import ConfigError

HOSTS = ("localhost", "127.0.0.1", "::1")


class Authority:
    """One certificate for HOSTS; it serves any number of mocks.

    ca_file: a PEM that a client may trust (tls.ca_file). Given: written there (anew at each start) and left
    there; None: in a temporary directory that goes with `close()`.
    Raises ConfigError: the package `trustme` is not installed (extra "mock"), or ca_file cannot be written.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        try:
            import trustme
        except ImportError as error:
            raise ConfigError("TLS of the mock needs the package trustme: pip install trustme") from error
        authority = trustme.CA()
        self._leaf = authority.issue_cert(*HOSTS)
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        if ca_file is None:
            self._directory = tempfile.TemporaryDirectory(prefix="mock-ca-")
            ca_file = Path(self._directory.name) / "ca.pem"
        self.ca_file = ca_file.resolve()
        try:
            authority.cert_pem.write_to_path(str(self.ca_file))
        except OSError as error:
            raise ConfigError(f"ca_file: {self.ca_file} cannot be written: {error}") from error

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._leaf.configure_cert(context)
        return context

    def close(self) -> None:
        """Remove what is temporary. Idempotent."""
        if self._directory is not None:
            self._directory.cleanup()
