"""Settings of the stores: told apart by kind, and wrong combinations refused."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.store import EmbeddedStoreSettings, InfluxStoreSettings, StoreSettings

ADAPTER: TypeAdapter[EmbeddedStoreSettings | InfluxStoreSettings] = TypeAdapter(StoreSettings)


def test_kind_chooses_the_store() -> None:
    assert ADAPTER.validate_python(
        {"kind": "embedded", "path": "/var/lib/yaosu/store.db"}
    ) == EmbeddedStoreSettings(kind="embedded", path=Path("/var/lib/yaosu/store.db"))
    influx = ADAPTER.validate_python(
        {"kind": "influxdb", "generation": "2", "token": {"credential": "influx"}}
    )
    assert isinstance(influx, InfluxStoreSettings)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": "127.0.0.1:8086"}, "not an address"),
        ({"url": "http://u:p@127.0.0.1:8086"}, "holds a user or password"),
        ({"username": "u"}, "belong together"),
        ({"token": {"credential": "t"}}, "not a token"),
        ({"generation": "2", "username": "u", "password": {"credential": "p"}}, "takes a token"),
        ({"database": 'x"; DROP'}, "pattern"),
        ({"generation": "4"}, "Input should be"),
        ({"timeout_s": 0.0}, "greater than 0"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ADAPTER.validate_python({"kind": "influxdb", **wrong})


@pytest.mark.parametrize(
    ("url", "compression", "compresses"),
    [
        ("http://127.0.0.1:8086", "auto", False), ("http://[::1]:8086", "auto", False),
        ("http://localhost", "auto", False), ("http://10.0.0.7:8086", "auto", True),
        ("https://influx.example", "auto", True), ("https://influx.example", "none", False),
        ("http://127.0.0.1:8086", "gzip", True),
    ],
)  # fmt: skip
def test_lines_are_compressed_for_servers_elsewhere(url: str, compression: str, compresses: bool) -> None:
    settings = ADAPTER.validate_python({"kind": "influxdb", "url": url, "compression": compression})
    assert isinstance(settings, InfluxStoreSettings)
    assert settings.compresses is compresses
