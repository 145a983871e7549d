"""The way out for sinks: which addresses are called, and what an answer means."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import socket
import ssl
from email.utils import formatdate
from urllib.parse import quote

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from perfmon import (
    Config,
    DeliveryError,
    HttpSinkTable,
    Secret,
    encoded,
    http_url,
    post,
    redacted,
)
from perfmon.delivery.addresses import refusal

METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fe80::a9fe:a9fe%eth0", "febf::1",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "192.0.0.192",
    "168.63.129.16", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "::a9fe:a9fe", "::ffff:0:a9fe:a9fe",
    "2001:0:a9fe:a9fe::1", "2001:0:808:808:0:0:5601:5601", "2a00::5efe:a9fe:a9fe",
    "2a00::200:5efe:a9fe:a9fe", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "ff02::1", "64:ff9b::6464:64c8", "2002:c000:c0::",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1",
    "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "::1", "::", "fc00::1", "fd12:3456::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    "fec0::1", "100::1", "::7f00:1", "2001:0:7f00:1:0:0:f7f7:f7f7", "2a00::5efe:a00:1", "64:ff9b::a00:1",
    "3fff::1", "4000::1", "192.88.99.1", "5f00::1",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "169.253.1.1",
    "192.169.0.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808", "2002:808:808::1",
    "223.255.255.254", "11.0.0.1",
]  # fmt: skip
ODD = ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.01", "localhost", "", "1.2.3"]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_and_link_local_are_never_called(address):
    """Whatever they are wrapped in, and where private addresses are allowed as well."""
    assert refusal(address)
    assert refusal(address, allow_private=True)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_called_where_allowed(address):
    """And nowhere else."""
    assert "allow_private" in refusal(address)
    assert refusal(address, allow_private=True) is None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called(address):
    """Those on either side of the private ranges too."""
    assert refusal(address) is None


@pytest.mark.parametrize("address", ODD)
def test_odd_spellings_are_no_addresses(address):
    """What sockets would take for one, and people would not."""
    assert refusal(address, allow_private=True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1", "2130706433", "0x7f.1",
             "017700000001", "localhost", "[::ffff:7f00:1]", "127.0.0.1."]
)  # fmt: skip
async def test_no_spelling_of_loopback_gets_through(receiver, host):
    """In a URL, as sockets and resolvers read it."""
    port = receiver.url.rpartition(":")[2]
    with pytest.raises(DeliveryError) as caught:
        await post(f"http://{host}:{port}/hook", {})
    assert caught.value.permanent
    assert not receiver.requests


async def test_metadata_is_refused_whatever_is_allowed():
    """Before a packet is sent."""
    with pytest.raises(DeliveryError, match="metadata") as caught:
        await post("http://169.254.169.254/latest/meta-data", {}, allow_private=True)
    assert caught.value.permanent


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::1"], ["169.254.169.254"], ["8.8.8.8", "127.0.0.1"], ["fd00:ec2::254"]]
)  # fmt: skip
async def test_a_name_is_as_good_as_its_addresses(names, receiver, addresses):
    """All of them: one that is forbidden forbids the name."""
    port = receiver.url.rpartition(":")[2]
    with pytest.raises(DeliveryError, match=r"example\.org is blocked: it resolves to") as caught:
        await post(f"http://example.org:{port}/", {}, resolver=names(example_org=[addresses]))
    assert caught.value.permanent
    assert not receiver.requests


async def test_a_name_cannot_change_its_address_after_the_check(names, receiver, monkeypatch):
    """DNS that answers otherwise the second time is asked once; the socket is checked as well."""
    port = receiver.url.rpartition(":")[2]
    asked = names(example_org=[["127.0.0.1"], ["169.254.169.254"]])
    await post(f"http://example.org:{port}/", {}, resolver=asked, allow_private=True)
    assert asked.asked == len(receiver.requests) == 1
    monkeypatch.setattr(
        "perfmon.delivery.http._Guard.resolve", names(example_org=[["127.0.0.1"]]).resolve
    )
    with pytest.raises(DeliveryError, match="private") as caught:
        await post(f"http://example.org:{port}/", {})
    assert caught.value.permanent
    assert len(receiver.requests) == 1


async def test_several_addresses_that_are_all_away_are_a_passing_failure(names, nobody):
    """Not one that is forbidden."""
    both = names(example_org=[["127.0.0.1", "::1", "127.0.0.2"]])
    with pytest.raises(DeliveryError, match="could not be reached") as caught:
        await post(f"http://example.org:{nobody}/", {}, resolver=both, allow_private=True)
    assert not caught.value.permanent


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(receiver, status):
    """Neither to a private address nor to any other."""
    receiver.says((status, "", {"Location": f"{receiver.url}/elsewhere"}))
    with pytest.raises(DeliveryError, match="redirects are not followed") as caught:
        await post(f"{receiver.url}/hook", {}, allow_private=True)
    assert caught.value.permanent
    assert [request.path for request in receiver.requests] == ["/hook"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 413, 422])
async def test_what_is_wrong_for_good_says_so(receiver, status):
    """With the receiver's words."""
    receiver.says((status, "invalid_payload\n", {"Retry-After": "7"}))
    with pytest.raises(
        DeliveryError, match=f"127.0.0.1 answered {status}: invalid_payload"
    ) as caught:
        await post(receiver.url, {}, allow_private=True)
    assert caught.value.permanent
    assert caught.value.retry_after is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
async def test_what_fails_in_passing_says_when_to_try_again(receiver, status):
    """In seconds, or at a date by the clock; nothing where the header says nothing."""
    now = 1_800_000_000.0
    dates = [formatdate(now + offset, usegmt=True) for offset in (90, -90)]
    for header, seconds in [
        ("30", 30),
        ("0", 0),
        (dates[0], 90),
        (dates[1], 0),
        ("soon", None),
        (None, None),
        ("-1", None),
    ]:
        receiver.says((status, "", {"Retry-After": header} if header else {}))
        with pytest.raises(DeliveryError) as caught:
            await post(receiver.url, {}, allow_private=True, clock=lambda: now)
        assert (caught.value.permanent, caught.value.retry_after) == (False, seconds)


async def test_nobody_there_is_a_passing_failure(nobody):
    """It may come back."""
    with pytest.raises(DeliveryError, match="could not be reached") as caught:
        await post(f"http://127.0.0.1:{nobody}/", {}, allow_private=True)
    assert not caught.value.permanent


async def test_the_deadline_is_kept(receiver):
    """By one that takes the request and says nothing."""

    async def hang():
        await asyncio.sleep(60)

    receiver.answers = [hang]
    with pytest.raises(DeliveryError, match=r"did not answer within 0\.3 s") as caught:
        await post(receiver.url, {}, allow_private=True, deadline=0.3)
    assert not caught.value.permanent


async def test_a_taken_request_is_taken_though_its_answer_never_ends(receiver):
    """It would be sent twice otherwise; and a flood is not read."""

    async def slowly(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"ok")
        await asyncio.sleep(60)

    async def flood(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "99"})
        await response.prepare(request)
        await response.write(b"ok")
        request.transport.close()
        return response

    for answer, deadline in ((slowly, 5), (flood, 60), (cut, 60)):
        receiver.answers = [answer]
        told = await post(receiver.url, {}, allow_private=True, deadline=deadline)
        assert told.status == 200
        assert len(told.text) <= 4_096


async def test_no_secret_comes_back_in_an_error(receiver):
    """Not of the URL, of a header or of the body, though the receiver repeats all of them."""
    secret, key = (
        Secret(f"{receiver.url}/services/T0000/Bxxxxxxxxx?token=tok-0123456789"),
        Secret("key-0123456789"),
    )
    words = (
        f"no {secret.reveal()} nor /services/T0000/Bxxxxxxxxx nor tok-0123456789 nor key-0123456789"
    )
    for status in (400, 503):
        receiver.says((status, words))
        with pytest.raises(DeliveryError) as caught:
            await post(secret, {}, headers={"Authorization": key}, allow_private=True)
        for hidden in ("Bxxxxxxxxx", "T0000", "tok-0", "key-0"):
            assert hidden not in str(caught.value)


@pytest.mark.parametrize("user", ["u", "us", "use", "long-user"])
async def test_no_secret_comes_back_in_base64(receiver, user):
    """A client makes of user and password one header, whose letters hide both."""
    url = receiver.url.replace("http://", f"http://{user}:pass-0123456789@")
    both = f"{user}:pass-0123456789".encode()
    echo = base64.b64encode(both).decode(), base64.urlsafe_b64encode(both).decode()
    receiver.says((400, f"you sent Authorization: Basic {echo[0]} or {echo[1]}"))
    with pytest.raises(DeliveryError) as caught:
        await post(url, {}, allow_private=True)
    assert not any(text[:-4] in str(caught.value) for text in echo)
    assert "pass-0" not in str(caught.value)


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:"])
def test_a_known_secret_is_hidden_in_base64_and_in_urls(before):
    """Wherever in the encoded text it stands."""
    secret = Secret("s3cret/key?with=odd ones")
    text = base64.b64encode((before + secret.reveal() + "!").encode()).decode()
    shown = redacted(f"got {text} and {quote(secret.reveal(), safe='')}")
    assert text[8:-8] not in shown
    assert "s3cret" not in shown
    assert secret.forms


@pytest.fixture
async def proxy():
    """A proxy that notes what it is asked for, and answers itself."""
    asked = []

    async def serve(reader, writer):
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"http://user:pass-0123456789@127.0.0.1:{port}", asked


async def test_a_proxy_is_used_where_one_is_named(proxy, monkeypatch):
    """It may be private itself; a name that only it can look up is left to it."""
    url, asked = proxy
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    answer = await post("http://hooks.invalid/services/x", {}, proxy=Secret(url))
    assert answer.text == "ok"
    assert asked[0].startswith(b"POST http://hooks.invalid/services/x HTTP/1.1")
    assert b"Proxy-Authorization: Basic" in asked[0]


@pytest.mark.parametrize("host", ["169.254.169.254", "127.0.0.1", "[::1]", "localhost"])
async def test_a_proxy_is_no_way_round_the_guard(proxy, host):
    """What is blocked directly is not asked of a proxy either."""
    url, asked = proxy
    with pytest.raises(DeliveryError) as caught:
        await post(f"http://{host}/latest", {}, proxy=url)
    assert caught.value.permanent
    assert asked == []


async def test_a_proxy_that_is_away_is_named_without_its_password():
    """The message may be sent when it is back."""
    with pytest.raises(DeliveryError) as caught:
        await post("http://hooks.invalid/", {}, proxy="http://user:pass-0123456789@127.0.0.1:1")
    assert not caught.value.permanent
    assert "pass-0" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_told_of(tmp_path, monkeypatch, name):
    """It is not used by itself; naming one in the table is the answer."""
    for other in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "http://proxy:3128")
    path = tmp_path / "monitor.toml"
    for table, is_told in (("", True), ('proxy = "http://proxy:3128"', False)):
        path.write_text(f"[plugins.slack]\n{table}\n")
        config = Config.load(path)
        config.table("slack", HttpSinkTable)
        assert (f"{name} is set but not used" in " ".join(config.warnings)) == is_told


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 xyz what\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nbroken"]
)
async def test_what_is_not_http_is_an_error_without_the_url(answer):
    """aiohttp's own words for it have the whole URL."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(DeliveryError) as caught:
            await post(f"http://127.0.0.1:{port}/very-secret-path?a=b", {}, allow_private=True)
    assert "very-secret" not in str(caught.value)
    assert not caught.value.permanent


async def test_a_certificate_that_is_not_trusted_is_refused(receiver):
    """The request is not sent; the certificate may be renewed, so it is worth another try."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_post("/", receiver.answer)
    server = TestServer(app)
    await server.start_server(ssl=context)
    with pytest.raises(DeliveryError, match="certificate") as caught:
        await post(f"https://127.0.0.1:{server.port}/", {}, allow_private=True)
    await server.close()
    assert not caught.value.permanent
    assert not receiver.requests


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://example.org", "http://", "http://a:99999/", "http://a:0/", "http://[::1/",
            "http://a/\r\nx", "file:///etc/passwd", "http://a b/", "http://\ud800/", "http://é\x00/"]
)  # fmt: skip
async def test_what_is_no_url_is_refused_for_good(url):
    """In the configuration already; and none of it is in the error."""
    fits = http_url.accepts(url)
    assert fits == (url == "http://\ud800/")
    with pytest.raises(DeliveryError) as caught:
        await post(url, {})
    assert caught.value.permanent


async def test_a_header_cannot_hold_another(receiver):
    """A newline in its value is refused, and the value is not in the error."""
    with pytest.raises(DeliveryError, match="not valid") as caught:
        await post(receiver.url, {}, headers={"X-A": "secret-1\r\nX-B: 2"}, allow_private=True)
    assert caught.value.permanent
    assert "secret-1" not in str(caught.value)
    assert not receiver.requests


async def test_what_is_sent(receiver):
    """JSON, or bytes as they are; no cookies, and no proxy from the environment."""
    receiver.says((200, "ok", {"Set-Cookie": "a=b"}))
    told = await post(receiver.url, {"a": math.nan, "b": "\ud800é"}, allow_private=True)
    assert (told.status, told.text) == (200, "ok")
    await post(receiver.url, b"raw", headers={"Content-Type": "text/plain"}, allow_private=True)
    assert receiver.bodies == [b'{"a": null, "b": "?\xc3\xa9"}', b"raw"]
    first, second = receiver.requests
    assert (first.content_type, second.content_type) == ("application/json", "text/plain")
    assert "Cookie" not in second.headers


def test_encoded_is_well_formed_json():
    """Whatever strings hold."""
    assert json.loads(encoded({"\ud800": [math.inf, "\udfff"]})) == {"?": [None, "?"]}


async def test_a_post_can_be_cancelled(receiver):
    """At any time, while a name is looked up too."""

    class Slow:
        async def resolve(self, *_):
            await asyncio.sleep(60)

    async def hang():
        await asyncio.sleep(60)

    receiver.answers = [hang]
    for url in (receiver.url, "http://example.org/"):
        task = asyncio.ensure_future(post(url, {}, allow_private=True, resolver=Slow()))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_the_systems_resolver_is_asked_by_default():
    """A name of this machine is found, and refused for its address."""
    assert socket.gethostbyname("localhost").startswith("127.")
    with pytest.raises(DeliveryError, match="localhost is blocked: it resolves to"):
        asyncio.run(post("http://localhost:9/", {}))
