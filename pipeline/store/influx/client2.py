"""Writes of generations 2 and 3 through influxdb-client. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import urllib3
from influxdb_client import InfluxDBClient, WriteService
from influxdb_client.rest import ApiException

from pipeline.store.influx.http import gzip_compress, judge

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store.door import StoreUnavailable
    from pipeline.store.influx.http import InfluxHttp
    from pipeline.store.influx.settings import InfluxStoreSettings


class ClientWriter:
    """Posts encoded lines to /api/v2/write.

    It calls the client's write service below its write API: that one compresses at level 9, and retries by
    itself, where retries are the caller's.
    """

    def __init__(self, settings: InfluxStoreSettings, credentials: Path | None, http: InfluxHttp) -> None:
        self._settings = settings
        self._http = http
        token = "" if settings.token is None else settings.token.resolve_text(credentials)
        self._client = InfluxDBClient(
            url=settings.url,
            token=token or None,  # type: ignore[arg-type]  # annotated str, defaults to None
            org=settings.organisation,
            timeout=round(settings.timeout_s * 1000),
        )
        # Its connections are of our kind; the client itself has no door for that.
        self._client.api_client.rest_client.pool_manager.pool_classes_by_scheme = http.wires.pools
        self._service = WriteService(self._client.api_client)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def away(self, error: Exception) -> StoreUnavailable:
        """Make the error that says that no answer came."""
        return self._http.away(error)

    def post(self, body: bytes | memoryview) -> None:
        """Write lines. Raises: as `judge`, and StoreUnavailable when no answer comes."""
        try:
            self._service.post_write(
                org=self._settings.organisation,
                bucket=self._settings.database,
                body=gzip_compress(body) if self._settings.compresses else bytes(body),
                precision="ns",
                content_encoding="gzip" if self._settings.compresses else "identity",
                content_type="text/plain; charset=utf-8",
            )
        except ApiException as error:
            if not error.status:
                raise self.away(error) from error
            headers: Mapping[str, str] = error.headers or {}
            header = headers.get("Retry-After")
            judge(error.status, str(error.body or error.reason), header, self._settings.retry_after_s)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.away(error) from error
