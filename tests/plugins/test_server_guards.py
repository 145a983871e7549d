"""Who may ask the server: keys, names and other sites' pages."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfmon import Config, ConfigError, Secret

API = "/api/performance"
KEY = "correct-horse-canary"


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"X-API-Key": KEY},
     {"Authorization": "Basic " + b64encode(f"anyone:{KEY}".encode()).decode()}],
)  # fmt: skip
async def test_the_key_opens_every_door(serve, headers):
    """As a bearer token, in its own header, or as a browser's password."""
    client = await serve(api_key=Secret(KEY))
    for path in ("/", f"{API}/health", f"{API}/stats"):
        assert (await client.get(path, headers=headers)).status == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-Key": "wrong"}, {"X-API-Key": "ünï"}, {"X-API-Key": ""},
     {"Authorization": KEY}, {"Authorization": "Bearer"}, {"Authorization": "Basic %%%"},
     {"Authorization": "Basic YWJj"}, {"Authorization": f"Bearer {KEY}x"}],
)  # fmt: skip
async def test_without_the_key_there_is_no_answer(serve, headers):
    """401 in the one shape, whatever the header holds; it never says the key."""
    client = await serve(api_key=Secret(KEY))
    for method, path in (("GET", "/"), ("POST", f"{API}/runs"), ("GET", f"{API}/nothing")):
        answer = await client.request(method, path, headers=headers)
        text = await answer.text()
        assert answer.status == 401
        assert json.loads(text)["error"]["code"] == "unauthorized"
        assert "Bearer" in answer.headers["WWW-Authenticate"]
        assert KEY not in text


async def test_probes_and_the_document_need_no_key(serve):
    """Liveness, readiness and the OpenAPI document are open."""
    client = await serve(api_key=Secret(KEY))
    for path in ("/healthz", "/readyz", "/api/openapi.json"):
        answer = await client.get(path)
        assert answer.status == 200
        assert KEY not in await answer.text()


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(given_key=st.binary(max_size=60).filter(lambda key: key != KEY.encode()))
def test_no_bytes_but_the_key_pass(given_key):
    """Odd bytes are compared like any others, and never raise."""
    import hmac

    from perfmon_server.http.access import _digest

    text = given_key.decode("utf-8", "surrogateescape")
    assert not hmac.compare_digest(_digest(text), _digest(KEY))


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8787", 200), ("LOCALHOST", 200), ("127.0.0.1", 200), ("[::1]:8787", 200),
     ("localhost.", 200), ("mon.example.org", 200), ("a.example.net:80", 200),
     ("evil.test", 403), ("evil.test:8787", 403), ("localhost.evil.test", 403), ("", 403),
     ("127.0.0.1.evil.test", 403), ("example.net", 403), ("10.0.0.1", 403), ("[::1", 403)],
)  # fmt: skip
async def test_only_the_servers_own_names_are_answered(serve, host, status):
    """A name that DNS was made to point here (rebinding) is refused."""
    client = await serve(allowed_hosts=["mon.example.org", "*.example.net"])
    answer = await client.get("/healthz", headers={"Host": host})
    assert answer.status == status
    if status == 403:
        assert (await answer.json())["error"]["code"] == "forbidden_host"


async def test_an_address_is_no_rebound_name(serve):
    """A server that listens everywhere is called by any of its addresses, not by any name."""
    client = await serve(host="0.0.0.0", api_key=Secret(KEY))
    assert (await client.get("/healthz", headers={"Host": "10.1.2.3:8787"})).status == 200
    assert (await client.get("/healthz", headers={"Host": "evil.test"})).status == 403


async def test_another_sites_page_cannot_record(client, run_of):
    """A post from a page of another origin is refused; one from our own is not."""
    own = f"http://127.0.0.1:{client.port}"
    for origin, status in (
        (own, 200), ("http://evil.test", 403), ("null", 403), ("http://127.0.0.1:1", 403),
        ("http://[", 403), (f"https://evil.test#{own}", 403),
    ):  # fmt: skip
        answer = await client.post(f"{API}/runs", json=run_of(), headers={"Origin": origin})
        assert answer.status == status, origin
    assert (await client.get("/healthz", headers={"Origin": "http://evil.test"})).status == 200


async def test_answers_forbid_guessing_and_keeping(client):
    """Every answer says that it is not to be sniffed, nor used again without asking."""
    for path in ("/", f"{API}/health", "/api/nothing"):
        answer = await client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "mon.example.org", ""])
def test_beyond_loopback_a_key_is_needed(host, monitor):
    """Whether the host comes from the configuration or the command line."""
    from perfmon_server import ServerPlugin

    with pytest.raises(ConfigError, match="api_key"):
        ServerPlugin(Config.from_mapping({"plugins": {"server": {"host": host}}}))
    with pytest.raises(ConfigError, match="api_key"):
        ServerPlugin(Config.from_mapping({})).run(monitor, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_on_loopback_no_key_is_needed(host):
    """Only this machine can ask."""
    from perfmon_server import ServerPlugin

    plugin = ServerPlugin(Config.from_mapping({"plugins": {"server": {"host": host}}}))
    assert plugin.settings.host == host


def test_every_mistake_of_the_table_is_told():
    """All at once, as for the rest of the configuration; the key is not shown."""
    from perfmon_server import ServerPlugin

    table = {"prot": 1, "port": 99_999, "max_body_mb": "20", "api_key": {"key": KEY}}
    with pytest.raises(ConfigError) as caught:
        ServerPlugin(Config.from_mapping({"plugins": {"server": table}}))
    assert len(caught.value.mistakes) == 4
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [b"X-API-Key: \xff\xfe\xed\xa0\x80", b"Authorization: Bearer \xf0\x9f", b"Host: \xff\xff",
     b"Authorization: Basic \xff\xff", b"Origin: \xff", b"X-API-Key: " + b"a" * 8000],
)  # fmt: skip
async def test_headers_of_odd_bytes_are_refused_in_words(serve, line):
    """As they come over the wire: never let in, never a 500."""
    client = await serve(api_key=Secret(KEY))
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    host = b"" if line.startswith(b"Host") else b"Host: localhost\r\n"
    writer.write(b"POST /api/performance/runs HTTP/1.1\r\n" + host + line)
    writer.write(b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
    async with asyncio.timeout(60):
        status = int((await reader.read()).split(b" ", 2)[1])
    writer.close()
    await writer.wait_closed()
    assert status in (400, 401, 403)
