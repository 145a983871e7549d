"""Alerts by mail (SMTP): plain text and HTML, with each group of alerts in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import html
import logging
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses
from typing import TYPE_CHECKING, Any, Literal

import attrs

from perfmon import DeliveryError, Duration, Secret, hookimpl, redacted
from perfmon.sinks import SinkTable, alert_facts, headline, link_of, urgency

if TYPE_CHECKING:
    from perfmon import AlertMessage, Config, PerformanceAlert

log = logging.getLogger("perfmon")
_SUBJECT, _LISTED, _TEXT = 120, 50, 1_000
_FAREWELL = 2.0
_COLOURS = {"critical": "#b3261e", "warning": "#9a6700", "info": "#0b57d0", "resolved": "#1a7f37"}
_UNSAFE = '"none" sends mail and password unencrypted; safer: "starttls"'


# A long display name with a comma, folded by older Pythons, becomes several addresses; so that
# nothing is folded that a line of a mail may hold (RFC 5322, 2.1.1).
_POLICY = policy.SMTP.clone(max_line_length=998)
_LONGEST_NAME = 200


def _address(text: str) -> Address:
    """The one address in text such as "perfmon <alerts@example.org>", or `ValueError`."""
    (name, spec), *others = getaddresses([text])
    if others or not text.isprintable() or spec.count("@") != 1 or not all(spec.split("@")):
        raise ValueError("no address")
    try:
        return Address(display_name=name[:_LONGEST_NAME], addr_spec=spec)
    except Exception as problem:  # the parser's errors are of many kinds
        raise ValueError(f"no address: {problem}") from None


def _are_addresses(_instance: Any, _attribute: Any, value: Any) -> None:
    given = [value] if isinstance(value, str) else value
    try:
        fits = bool([_address(text) for text in given])
    except ValueError:
        fits = False
    if not fits:
        raise ValueError('must be addresses such as "perfmon <alerts@example.org>"')


@attrs.frozen(kw_only=True)
class EmailConfig(SinkTable):
    """The settings of `[plugins.email]`, in addition to those of every sink.

    Attributes:
        host: the server that takes the mail.
        port: default: 587 with "starttls", 465 with "tls", 25 with "none".
        security: "starttls" must succeed, "tls" from the first byte on, or "none".
        username, password: for the server; both or neither.
        from_: the sender.
        to: the recipients.
        timeout: what one attempt may take.
    """

    host: str = attrs.field(validator=attrs.validators.min_len(1))
    port: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional([attrs.validators.ge(1), attrs.validators.le(65_535)]),
    )
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password: Secret | None = None
    from_: str = attrs.field(validator=_are_addresses, alias="from_")
    to: list[str] = attrs.field(validator=_are_addresses)
    timeout: Duration = attrs.field(default=30.0, validator=attrs.validators.gt(0))

    def __attrs_post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be given together")


class EmailSink:
    """Mails a message once; what it raises says whether to try again.

    Args:
        config: has the table `[plugins.email]`.
        connection: further arguments of `aiosmtplib.SMTP`, such as a `tls_context`.

    Attributes:
        deadline: the seconds to wait for a delivery.
    """

    def __init__(self, config: Config, **connection: Any) -> None:
        import aiosmtplib

        self._smtp = aiosmtplib
        self._config = config.table("email", EmailConfig)
        self._connection = connection
        self.deadline = self._config.timeout + _FAREWELL + 1
        if self._config.security == "none":
            place = config.place("plugins", "email", "security", is_table=False)
            warning = f"{place}: {_UNSAFE}"
            if warning not in config.warnings:
                config.warnings.append(warning)

    @hookimpl
    async def deliver_alert(self, message: AlertMessage) -> None:
        """One mail for the whole group."""
        wanted = self._config.wanted(message)
        if wanted is None:
            return
        mail, smtp, config = _mail(wanted, self._config), self._smtp, self._config
        try:
            refused = await self._send(mail)
        except TimeoutError:
            raise self._error(f"did not accept the message within {config.timeout:g} s") from None
        except smtp.SMTPRecipientsRefused as problem:
            codes = [each.code for each in problem.recipients]
            told = "; ".join(f"{each.code} {each.message}" for each in problem.recipients)
            raise self._error(f"refused every recipient: {told}", codes) from None
        except smtp.SMTPResponseException as problem:
            reason = f"answered {problem.code}: {problem.message}"
            raise self._error(reason, [problem.code]) from None
        except (smtp.SMTPException, OSError) as problem:
            raise self._error(f"could not be reached: {problem}") from None
        for recipient, (code, text) in refused.items():
            # The others have it, and would have it twice were this mail sent again.
            log.warning(
                "email: recipient %s was refused: %d %s", redacted(recipient), code, redacted(text)
            )

    async def _send(self, mail: EmailMessage) -> dict[str, Any]:
        config = self._config
        standard = {"starttls": 587, "tls": 465, "none": 25}
        client = self._smtp.SMTP(
            hostname=config.host,
            port=config.port or standard[config.security],
            use_tls=config.security == "tls",
            start_tls=False,
            timeout=config.timeout,
            **self._connection,
        )
        transport: Any = None
        try:
            async with asyncio.timeout(config.timeout):
                await client.connect()
                transport = client.transport
                if config.security == "starttls":
                    await client.starttls()
                    transport = client.transport
                if config.username is not None and config.password is not None:
                    await client.login(config.username, config.password.reveal())
                refused, _ = await client.send_message(mail)
            # It has been taken: what goes wrong with the farewell must not send it again.
            with contextlib.suppress(self._smtp.SMTPException, OSError):
                async with asyncio.timeout(_FAREWELL):
                    await client.quit()
            return refused
        finally:
            client.close()
            if transport is not None:
                # Over TLS, closing alone goes on until the server answers, or for half a minute.
                transport.abort()
                await asyncio.sleep(0)

    def _error(self, reason: str, codes: list[int] | None = None) -> DeliveryError:
        permanent = bool(codes) and all(code >= 500 for code in codes or ())
        return DeliveryError(redacted(f"{self._config.host} {reason}"), permanent=permanent)


def _mail(message: AlertMessage, config: EmailConfig) -> EmailMessage:
    sender = _address(config.from_)
    listed, more = message.alerts[:_LISTED], max(0, len(message.alerts) - _LISTED)
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = [_address(text) for text in config.to]
    mail["Subject"] = headline(message, _SUBJECT)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = _mail_id("message", message.message_id, sender.domain)
    # No mail has this id: all of a group are answers to it, whichever of them comes first.
    mail["In-Reply-To"] = mail["References"] = _mail_id("group", message.group, sender.domain)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    closing = [f"and {message.left_out + more:,} more"] if message.left_out + more else []
    link = link_of(message)
    closing += [link] if link else []
    mail.set_content("\n\n".join([*(_plain(alert, message) for alert in listed), *closing]) + "\n")
    rows = "".join(_row(alert, message) for alert in listed)
    ending = "".join(f"<p>{html.escape(line)}</p>" for line in closing)
    mail.add_alternative(f"<html><body>{rows}{ending}</body></html>", subtype="html")
    return mail


def _mail_id(kind: str, text: str, domain: str) -> str:
    mark = hashlib.sha256(f"{kind}\0{text}".encode(errors="replace")).hexdigest()[:32]
    return f"<perfmon.{mark}@{domain}>"


def _plain(alert: PerformanceAlert, message: AlertMessage) -> str:
    facts = [f"  {name}: {text}" for name, text in alert_facts(alert).items()]
    lead = urgency(alert, message.kind).upper()
    return "\n".join([f"{lead}: {redacted(alert.message, _TEXT)}", *facts])


def _row(alert: PerformanceAlert, message: AlertMessage) -> str:
    how = urgency(alert, message.kind)
    colour = _COLOURS.get(how.rpartition(" ")[2], "#444")
    facts = "".join(
        f'<tr><td style="color:#666;padding-right:1em">{name}</td><td>{html.escape(text)}</td></tr>'
        for name, text in alert_facts(alert).items()
    )
    return (
        f'<div style="border-left:4px solid {colour};padding-left:1em;margin:1em 0">'
        f'<b style="color:{colour}">{how}</b>: {html.escape(redacted(alert.message, _TEXT))}'
        f"<table>{facts}</table></div>"
    )
