"""Transport security of a client, for brokers and instruments alike."""

from __future__ import annotations

import ssl

from config.model import FilePath, Settings


class TlsSettings(Settings):
    """Transport security: the certificate of the other side is always checked."""

    ca_file: FilePath
    """Certificate authorities that may have signed the certificate of the other side (PEM)."""
    certificate_file: FilePath | None = None
    """This client's certificate (PEM), where the other side asks for one."""
    key_file: FilePath | None = None
    """Private key of `certificate_file` (PEM, mode 0600)."""

    def context(self) -> ssl.SSLContext:
        """Build the TLS context, TLS 1.2 or newer. Raises OSError for files that cannot be read."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate_file is not None:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context
