"""The email sink, against servers of aiosmtpd; and against Exim where it is there."""

from __future__ import annotations

import asyncio
import contextlib
import email
import logging
import os
import shutil
import signal
import socket
import ssl
import tempfile
import time
from email import policy
from html.parser import HTMLParser
from pathlib import Path

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from hypothesis import given
from hypothesis import strategies as st
from perfmon_email import EmailConfig, EmailSink, _mail

from perfmon import Config, ConfigError, DeliveryError
from perfmon.testing import make_alert, make_message

PASSWORD = "pass-0123456789"
AUTHORITY = trustme.CA()


class Post:
    """Takes mail, or answers a command as it is told to."""

    def __init__(self):
        self.envelopes, self.says, self.logins, self.secure = [], {}, [], []
        self.leaving = asyncio.Event()
        self.leaving.set()

    @property
    def mails(self):
        return [email.message_from_bytes(e.content, policy=policy.default) for e in self.envelopes]

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's
        envelope.mail_from = address
        return self.says.get("MAIL", "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's
        answer = self.says.get(address, self.says.get("RCPT", "250 OK"))
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's
        answer = self.says.get("DATA", "250 OK")
        if answer.startswith("250"):
            self.envelopes.append(envelope)
            self.secure.append(server.transport.get_extra_info("ssl_object") is not None)
        return answer

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802 - aiosmtpd's
        await self.leaving.wait()
        return self.says.get("QUIT", "221 Bye")

    def login(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)


OPEN = set()


class Session(SMTP):
    """A connection, among `OPEN` until it is over, below the TLS too."""

    def connection_made(self, transport):
        OPEN.add(self)
        super().connection_made(transport)

    def connection_lost(self, error):
        super().connection_lost(error)
        OPEN.discard(self)


class Server(Controller):
    def __init__(self, post, how):
        self.how, context = how, None
        if how != "none":
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            AUTHORITY.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self.context = context
        self.listening = socket.create_server(("127.0.0.1", 0))
        super().__init__(
            post,
            hostname="127.0.0.1",
            port=self.listening.getsockname()[1],
            ssl_context=context if how == "tls" else None,
            ready_timeout=60,
        )

    def _create_server(self):
        return self.loop.create_server(
            self._factory_invoker, sock=self.listening, ssl=self.ssl_context
        )

    def factory(self):
        starttls = self.context if self.how == "starttls" else None
        return Session(
            self.handler, hostname="127.0.0.1", tls_context=starttls, require_starttls=bool(starttls),
            authenticator=self.handler.login, auth_require_tls=False, data_size_limit=10_000_000,
        )  # fmt: skip


@pytest.fixture
def mailbox():
    return Post()


@pytest.fixture
def serve(mailbox):
    """Starts a server that is secured in this way; returns its port."""
    servers = []

    def start(how="none"):
        servers.append(Server(mailbox, how))
        servers[-1].start()
        return servers[-1].port

    yield start
    until = time.monotonic() + 60
    while OPEN:  # its loop would end before it could close them
        assert time.monotonic() < until, OPEN
        time.sleep(0.01)
    for server in servers:
        server.stop()


def config_of(at, **table):
    table = {"host": "127.0.0.1", "port": at, "security": "none", "from": "perfmon <alerts@example.org>",
             "to": ["one@example.com", "Two <two@example.com>"], **table}  # fmt: skip
    return Config.from_mapping({"plugins": {"email": table}})


def trusting():
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@pytest.fixture
def sink(serve):
    port = serve()
    return lambda **table: EmailSink(config_of(port, **table))


class Text(HTMLParser):
    """What of a page is text, and which tags it has."""

    def __init__(self):
        super().__init__()
        self.text, self.tags = "", set()

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)


def html_of(mail):
    page = Text()
    page.feed(mail.get_body(("html",)).get_content())
    return page


async def test_a_mail_has_what_a_person_needs(sink, mailbox):
    """As plain text and as HTML, to everybody."""
    await sink().deliver_alert(make_message(make_alert(1), make_alert(2), left_out=3))
    (mail,) = mailbox.mails
    assert (
        mail["Subject"] == "critical: agent agent-1: error rate 40.0% is above 15.0% (and 4 more)"
    )
    assert (mail["From"], mail["To"]) == (
        "perfmon <alerts@example.org>",
        "one@example.com, Two <two@example.com>",
    )
    assert mailbox.envelopes[0].rcpt_tos == ["one@example.com", "two@example.com"]
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"] == "Thu, 01 Jan 2026 12:00:00 +0000"
    for text in (mail.get_body(("plain",)).get_content(), html_of(mail).text):
        for part in ("agent agent-2: error rate", "Threshold", "0.15", "look at the error classes",
                     "and 3 more", "http://127.0.0.1:8787/?a=1&b=2"):  # fmt: skip
            assert part in text


async def test_an_attempt_again_has_the_same_message_id(sink, mailbox):
    """And another message has another."""
    for message_id in ("one", "one", "two"):
        await sink().deliver_alert(make_message(message_id=message_id))
    first, again, other = (mail["Message-ID"] for mail in mailbox.mails)
    assert first == again != other
    assert first.endswith("@example.org>")


async def test_a_group_is_a_thread(sink, mailbox):
    """Whichever of its messages comes first, and after a restart too."""
    over = make_alert(state="resolved")
    for number, (group, alert) in enumerate(
        [("a", make_alert()), ("b", make_alert(2)), ("a", over)]
    ):
        await sink().deliver_alert(make_message(alert, group=group, message_id=str(number)))
    roots = [mail["References"] for mail in mailbox.mails]
    assert roots == [mail["In-Reply-To"] for mail in mailbox.mails]
    assert roots[0] == roots[2] != roots[1]
    assert len({mail["Message-ID"] for mail in mailbox.mails} | set(roots)) == 5


EVIL = "x\r\nBcc: everybody@example.net\r\n\r\n<b>hello</b> <script>alert(1)</script> & \x00\u2028"


async def test_no_text_becomes_a_header_or_markup(sink, mailbox):
    """In any field of the alert or of the message."""
    alert = make_alert(
        message=EVIL, agent_name=EVIL, model=EVIL, rule=EVIL, recommendation=EVIL, unit=EVIL
    )
    await sink().deliver_alert(make_message(alert, group=EVIL, message_id=EVIL, link=EVIL))
    (mail,), (envelope,) = mailbox.mails, mailbox.envelopes
    assert mail["Bcc"] is None
    assert envelope.rcpt_tos == ["one@example.com", "two@example.com"]
    assert len(mail["Subject"].splitlines()) == 1
    page = html_of(mail)
    assert page.tags <= {"html", "body", "div", "b", "table", "tr", "td", "tbody"}
    assert "<script>alert(1)</script>" in page.text
    assert "everybody@example.net" not in str(mail["To"])


@pytest.mark.parametrize("how", ["starttls", "tls"])
async def test_mail_travels_encrypted(serve, mailbox, how):
    """And the password never without."""
    config = config_of(serve(how), security=how, username="perfmon", password=PASSWORD)
    await EmailSink(config, tls_context=trusting()).deliver_alert(make_message())
    assert mailbox.secure == [True]
    assert mailbox.logins == [(b"perfmon", PASSWORD.encode())]


@pytest.mark.parametrize("how", ["starttls", "tls"])
async def test_a_certificate_that_is_not_trusted_is_refused(serve, mailbox, how):
    """It may be renewed, so it is worth another try."""
    config = config_of(serve(how), security=how, username="perfmon", password=PASSWORD)
    with pytest.raises(DeliveryError, match="certificate") as caught:
        await EmailSink(config).deliver_alert(make_message())
    assert not caught.value.permanent
    assert mailbox.mails == mailbox.logins == []


async def test_a_server_without_starttls_gets_nothing(sink, mailbox):
    """Nobody in between can talk it out of encryption; and it is the default."""
    made = sink(security="starttls", username="perfmon", password=PASSWORD)
    with pytest.raises(DeliveryError, match=r"could not be reached: .*STARTTLS") as caught:
        await made.deliver_alert(make_message())
    assert not caught.value.permanent
    assert mailbox.mails == mailbox.logins == []
    table = {"host": "a", "from": "a@b", "to": ["c@d"]}
    made = EmailSink(Config.from_mapping({"plugins": {"email": table}}))
    assert made._config.security == "starttls"


def test_none_is_a_warning():
    """In `perfmon check`, with its place, once."""
    config = config_of(25)
    EmailSink(config)
    EmailSink(config)
    (warning,) = config.warnings
    assert "[plugins.email] security" in warning
    assert "unencrypted" in warning


@pytest.mark.parametrize("place", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "permanent"), [("550 5.7.1 no", True), ("451 4.7.1 greylisted", False)]
)
async def test_what_the_server_refuses(sink, mailbox, place, answer, permanent):
    """5xx is for good, 4xx is not; its words are in the error."""
    mailbox.says[place] = answer
    with pytest.raises(DeliveryError, match=answer.split()[-1]) as caught:
        await sink().deliver_alert(make_message())
    assert caught.value.permanent == permanent
    mailbox.says.clear()
    await sink().deliver_alert(make_message())
    assert len(mailbox.mails) == 1


async def test_one_refused_recipient_keeps_no_other_from_it(sink, mailbox, caplog):
    """It is logged; sent again, the others would have it twice."""
    mailbox.says["two@example.com"] = "550 no such user"
    with caplog.at_level(logging.WARNING, "perfmon"):
        await sink().deliver_alert(make_message())
    assert mailbox.envelopes[0].rcpt_tos == ["one@example.com"]
    assert "two@example.com was refused: 550 no such user" in caplog.text


async def test_some_recipients_may_be_asked_again(sink, mailbox):
    """As long as one of those refused was so in passing."""
    mailbox.says |= {"one@example.com": "550 no", "two@example.com": "451 later"}
    with pytest.raises(DeliveryError, match="refused every recipient") as caught:
        await sink().deliver_alert(make_message())
    assert not caught.value.permanent


@pytest.mark.parametrize("answer", ["421 not now", "500 what"])
async def test_mail_that_was_taken_is_not_sent_again(sink, mailbox, monkeypatch, answer):
    """Though the server fails at the farewell, or says nothing to it."""
    mailbox.says["QUIT"] = answer
    await sink().deliver_alert(make_message())
    mailbox.leaving.clear()
    monkeypatch.setattr("perfmon_email._FAREWELL", 0.2)
    await sink().deliver_alert(make_message())
    assert len(mailbox.mails) == 2


async def test_a_wrong_password_is_for_good_and_is_in_no_error(serve):
    """Nor in a repr."""
    config = config_of(
        serve("starttls"), security="starttls", username="perfmon", password="wrong-0123456789"
    )
    made = EmailSink(config, tls_context=trusting())
    with pytest.raises(DeliveryError, match="535") as caught:
        await made.deliver_alert(make_message())
    assert caught.value.permanent
    assert "wrong-0123" not in f"{caught.value!r} {made._config!r} {config!r}"


async def test_nobody_there_and_a_server_that_hangs_are_passing_failures(nobody):
    """The second is given up in time."""
    with pytest.raises(DeliveryError, match="could not be reached") as caught:
        await EmailSink(config_of(nobody)).deliver_alert(make_message())
    assert not caught.value.permanent
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = EmailSink(config_of(silent.getsockname()[1], timeout="300ms"))
        with pytest.raises(DeliveryError, match=r"within 0\.3 s|Timed out|timed out") as caught:
            await made.deliver_alert(make_message())
        assert not caught.value.permanent


@pytest.mark.parametrize(
    "table",
    [{"from": "nobody"}, {"from": "a@b\r\nBcc: c@d"}, {"to": []}, {"to": ["a@b", "x"]}, {"to": ["a@b, c@d"]},
     {"to": "a@b"}, {"port": 0}, {"security": "ssl"}, {"username": "a"}, {"password": "b"}, {"host": ""},
     {"to": ["a@b>\nX: y"]}, {"from": "@example.org"}, {"to": ["a b@c"]}],
)  # fmt: skip
def test_a_mistake_in_the_table_is_told(table):
    """With its place."""
    with pytest.raises(ConfigError, match=r"\[plugins\.email"):
        EmailSink(config_of(25, **table))


async def test_a_name_in_an_address_stays_a_name(sink, mailbox):
    """Though it has a comma, quotes or letters beyond ASCII."""
    await sink(to=['"Doe, Jörg (on call)" <doe@example.com>']).deliver_alert(make_message())
    (address,) = mailbox.mails[0]["To"].addresses
    assert (address.display_name, address.addr_spec) == ("Doe, Jörg (on call)", "doe@example.com")


async def test_it_holds_to_what_every_sink_must(sink, mailbox, checked):
    """And every mail is one that can be read."""
    assert await checked(sink().deliver_alert) == []
    for mail in mailbox.mails:
        assert mail["Subject"]
        assert not mail.defects
        assert len(mail.get_body(("plain",)).get_content()) < 100_000


BINARY, OWNER = shutil.which("exim4"), "Debian-exim"

EXIM = """\
primary_hostname = localhost
daemon_smtp_ports = {secure} : {plain}
local_interfaces = 127.0.0.1
spool_directory = {place}/spool
log_file_path = {place}/%slog
pid_file_path = {place}/pid
deliver_drop_privilege
keep_environment =
rfc1413_query_timeout = 0s
tls_advertise_hosts = ${{if eq{{$received_port}}{{{secure}}}{{*}}}}
tls_certificate = {place}/cert.pem
tls_privatekey = {place}/key.pem
acl_smtp_mail = encrypted
acl_smtp_rcpt = known

begin acl
encrypted:
  accept condition = ${{if eq{{$received_port}}{{{plain}}}}}
  accept encrypted = *
  deny message = use STARTTLS first
known:
  accept domains = example.com
  deny message = who is that

begin routers
onward:
  driver = manualroute
  route_list = * 127.0.0.1 byname
  self = send
  transport = onward

begin transports
onward:
  driver = smtp
  port = {onward}
  allow_localhost
  hosts_avoid_tls = *
"""

# Debian's exim4, which only root can start; without it the servers above stand in for it.
if BINARY and os.geteuid() == 0:

    def lay_out(place, ports):
        issued = AUTHORITY.issue_cert("127.0.0.1", "localhost")
        issued.private_key_pem.write_to_path(place / "key.pem")
        chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
        (place / "cert.pem").write_bytes(chain)
        (place / "exim.conf").write_text(EXIM.format(place=place, **ports))
        for path in (place, *place.iterdir()):
            shutil.chown(path, OWNER, OWNER)
            path.chmod(0o700 if path == place else 0o600)

    def what_it_says(place):
        return "".join(path.read_text() for path in (place / "told", *place.glob("*log")))

    @pytest.fixture
    async def real(serve, free_port):
        """A real server that hands on what it takes to `mailbox`; its ports with and without TLS."""
        # Not `tmp_path`, which its user cannot get at.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            place = Path(name)
            ports = {"secure": free_port(), "plain": free_port(), "onward": serve()}
            lay_out(place, ports)
            flags = ["-C", f"{place}/exim.conf", "-bdf"]
            with (place / "told").open("wb") as told:
                process = await asyncio.create_subprocess_exec(
                    BINARY, *flags, stdout=told, stderr=told, user=OWNER, group=OWNER,
                    extra_groups=[], start_new_session=True,
                )  # fmt: skip
            try:
                until = time.monotonic() + 60
                while not await greets(ports["secure"]):
                    said = what_it_says(place)
                    assert process.returncode is None, said
                    assert time.monotonic() < until, said
                    await asyncio.sleep(0.05)
                yield ports["secure"], ports["plain"]
            finally:
                # What it started for single mails is of its session, and of no other.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), 5)
                except TimeoutError:
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()

    async def greets(port):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        try:
            return (await asyncio.wait_for(reader.readline(), 60)).startswith(b"220 ")
        finally:
            writer.close()

    async def arrived(mailbox, number):
        until = time.monotonic() + 60
        while len(mailbox.mails) < number:
            assert time.monotonic() < until, f"{len(mailbox.mails)} of {number} mails arrived"
            await asyncio.sleep(0.02)
        return mailbox.mails

    def by(port, **table):
        config = config_of(port, **{"security": "starttls", "to": ["one@example.com"], **table})
        return EmailSink(config, tls_context=trusting())

    async def test_the_real_one_delivers_a_thread_over_starttls(real, mailbox):
        """What fires and its end, as it says itself."""
        made, to = by(real[0]), "one@example.com"
        await made.deliver_alert(make_message(message_id="1"))
        (fired,) = await arrived(mailbox, 1)
        over = make_alert(state="resolved")
        await made.deliver_alert(make_message(over, kind="resolved", message_id="2"))
        fired, resolved = await arrived(mailbox, 2)
        for mail in (fired, resolved):
            assert mail["To"] == to
            assert "Exim" in mail["Received"]
            assert "with esmtps" in mail["Received"]
            assert "(TLS1." in mail["Received"]
            assert mail["In-Reply-To"] == mail["References"] == fired["References"]
        assert fired["Subject"].startswith("critical: agent agent-1")
        assert resolved["Subject"].startswith("resolved")
        assert fired["Message-ID"] != resolved["Message-ID"]
        assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [[to], [to]]

    async def test_the_real_one_without_starttls_gets_nothing(real, mailbox):
        """By default; as it is told to, it does."""
        with pytest.raises(DeliveryError, match=r"could not be reached: .*STARTTLS") as caught:
            await by(real[1]).deliver_alert(make_message(message_id="refused"))
        assert not caught.value.permanent
        await by(real[1], security="none").deliver_alert(make_message(message_id="told"))
        (mail,) = await arrived(mailbox, 1)
        assert "with esmtps" not in mail["Received"]

    async def test_the_real_one_refuses_for_good(real, mailbox, caplog):
        """Whom it does not know, and who does not encrypt; another still gets his."""
        with pytest.raises(DeliveryError, match="refused every recipient: 550 ") as caught:
            await by(real[0], to=["one@example.net"]).deliver_alert(make_message())
        assert caught.value.permanent
        with pytest.raises(DeliveryError, match=r"answered 550: .*STARTTLS") as caught:
            await by(real[0], security="none").deliver_alert(make_message())
        assert caught.value.permanent
        both = ["one@example.net", "two@example.com"]
        with caplog.at_level(logging.WARNING, "perfmon"):
            await by(real[0], to=both).deliver_alert(make_message())
        assert "one@example.net was refused: 550 " in caplog.text
        await arrived(mailbox, 1)
        assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["two@example.com"]]

    async def test_the_real_one_takes_whatever_is_sent(real, mailbox, checked):
        """Odd text, times that are missing, a thousand at once; and hands it all on."""
        made, taken = by(real[1], security="none"), []

        async def deliver(message):
            await made.deliver_alert(message)
            taken.append(message)

        assert await checked(deliver) == []
        assert len(await arrived(mailbox, len(taken))) == len(taken) > 10


_NAMES = st.text(st.sampled_from("abc, ();:<>[].@'=?_ éü日本\N{PARTY POPPER}"), max_size=300)


@given(name=_NAMES, other=_NAMES)
def test_a_display_name_of_any_length_and_content_makes_one_address(name, other):
    """As a reader of the mail reads it: folding a long name with a comma made several of one."""
    table = {
        "host": "127.0.0.1",
        "security": "none",
        "from": f'"{name}" <alerts@example.org>',
        "to": [f'"{other}" <a@example.org>', "b@example.org"],
    }
    config = Config.from_mapping({"plugins": {"email": table}})
    raw = _mail(make_message(), config.table("email", EmailConfig)).as_bytes()
    mail = email.message_from_bytes(raw, policy=policy.default)
    assert [one.addr_spec for one in mail["From"].addresses] == ["alerts@example.org"]
    assert [one.addr_spec for one in mail["To"].addresses] == ["a@example.org", "b@example.org"]
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
