"""The table [plugins.server], and who may connect."""

from __future__ import annotations

import ipaddress

import attrs

from perfmon import ConfigError, Secret

_NEEDED = 'set an api_key, such as { env = "PERFMON_API_KEY" }, or host = "127.0.0.1"'


@attrs.frozen(kw_only=True)
class ServerConfig:
    """What `[plugins.server]` may say.

    Attributes:
        enabled: false keeps the server off.
        host, port: where it listens; port 0 takes any free one.
        api_key: what every request must bring (Authorization: Bearer, X-API-Key, or as the
            password of a browser's prompt); needed to listen beyond loopback.
        allowed_hosts: further names by which clients may call the server (its Host header);
            "*.example.org" allows every name below example.org.
        max_body_mb: the largest body, in MB after decompression.
        max_in_flight: how many requests with a body may be under way at once.
        max_streams: how many may listen to /stream at once.
        answer_seconds: how long a body may take to arrive, and an answer to be found.
    """

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = attrs.field(
        default=8787, validator=[attrs.validators.ge(0), attrs.validators.le(65_535)]
    )
    api_key: Secret | None = None
    allowed_hosts: list[str] = attrs.Factory(list)
    max_body_mb: float = attrs.field(default=20, validator=attrs.validators.gt(0))
    max_in_flight: int = attrs.field(default=32, validator=attrs.validators.ge(1))
    max_streams: int = attrs.field(default=100, validator=attrs.validators.ge(0))
    answer_seconds: float = attrs.field(default=30, validator=attrs.validators.gt(0))

    def refuse_open_door(self) -> None:
        """Raise `ConfigError` if it would listen beyond loopback without a key."""
        if self.api_key is None and not is_loopback(self.host):
            place = f"[plugins.server] host = {self.host!r}"
            raise ConfigError([f"{place} is reachable from other machines: {_NEEDED}"])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; names other than localhost may be any."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
