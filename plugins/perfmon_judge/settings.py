"""The table [plugins.judge]."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

import attrs

from perfmon import Duration, Secret, http_url
from perfmon_judge.words import PLACES, PROMPT


def _is_url(_instance: Any, _attribute: Any, value: str) -> None:
    if not _is_base(value):
        raise ValueError('must be a base URL such as "http://127.0.0.1:11434/v1"')


def _is_base(text: str) -> bool:
    try:
        parts = urlsplit(text)
        wrong = parts.username or parts.password or parts.query or parts.fragment or parts.port == 0
    except ValueError:  # a port that is no number, half an IPv6 address
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not wrong


def _is_prompt(_instance: Any, _attribute: Any, value: str) -> None:
    if set(PLACES.findall(value)) != {"predicted", "actual"}:
        raise ValueError("must be text with {predicted} and {actual} in it")


def _is_key(_instance: Any, _attribute: Any, value: Secret | None) -> None:
    if value is not None and not re.fullmatch(r"[!-~]+", value.reveal()):
        raise ValueError("must be printable ASCII without spaces")


_not_negative: Any = attrs.validators.optional(attrs.validators.ge(0))
_positive: Any = attrs.validators.gt(0)
_from_one: Any = attrs.validators.ge(1)


@attrs.frozen(kw_only=True)
class JudgeConfig:
    """What `[plugins.judge]` may say.

    Attributes:
        url: the endpoint's base; requests go to `<url>/chat/completions`.
        model: the model's name there.
        api_key: sent as a bearer token.
        proxy: the http proxy that requests go through; those of the environment are not used.
        prompt: the question; {predicted} and {actual} become one line of JSON each.
        deadline: what a whole question may take, with its retries.
        timeout: what one request may take; half of the deadline where it is not given.
        attempts: how often a request that fails for a passing reason is sent.
        temperature: 0 for answers that vary least.
        max_tokens: the longest answer; not sent where it is not given.
        response_format: "json" asks the endpoint for JSON, "text" leaves it out.
        input_cost_per_million, output_cost_per_million: dollars for a million tokens.
        budget: dollars this process may spend; what is under way may go a little beyond it.
        cache_size: how many answers are remembered; 0 asks every time.
        at_once: how many questions may be under way.
    """

    url: str = attrs.field(validator=_is_url)
    model: str = attrs.field(validator=attrs.validators.min_len(1))
    api_key: Secret | None = attrs.field(default=None, validator=_is_key)
    proxy: Secret | None = attrs.field(default=None, validator=http_url)
    prompt: str = attrs.field(default=PROMPT, validator=_is_prompt, repr=False)
    deadline: Duration = attrs.field(default=30.0, validator=_positive)
    timeout: Duration | None = attrs.field(
        default=None, validator=attrs.validators.optional(_positive)
    )
    attempts: int = attrs.field(default=3, validator=_from_one)
    temperature: float = attrs.field(default=0.0, validator=attrs.validators.ge(0))
    max_tokens: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_from_one)
    )
    response_format: Literal["json", "text"] = "json"
    input_cost_per_million: float | None = attrs.field(default=None, validator=_not_negative)
    output_cost_per_million: float | None = attrs.field(default=None, validator=_not_negative)
    budget: float | None = attrs.field(default=None, validator=_not_negative)
    cache_size: int = attrs.field(default=10_000, validator=attrs.validators.ge(0))
    at_once: int = attrs.field(default=4, validator=_from_one)

    def __attrs_post_init__(self) -> None:
        if self.budget is not None and not self.has_prices:
            raise ValueError("budget needs input_cost_per_million or output_cost_per_million")

    @property
    def has_prices(self) -> bool:
        """Whether what an answer costs can be known."""
        return (self.input_cost_per_million, self.output_cost_per_million) != (None, None)

    @property
    def endpoint(self) -> str:
        """Where questions are posted."""
        return self.url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
