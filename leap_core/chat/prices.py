"""What a reply costs, from a price file that users can edit. A model that is not in it has no known cost."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from leap_core.chat.messages import ChatReply
from leap_core.errors import ConfigError
from leap_core.settings.bounds import Text, Within
from leap_core.settings.files import read_toml
from leap_core.settings.validation import shorten
from leap_core.types import Record

DEFAULT_PRICES = Path(__file__).parent / "prices.toml"
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
_MILLION = 1e6


Dollars = Annotated[float, Field(strict=True), Within(1e-9, 10**6, "dollars for a million tokens", or_zero=True)]


class Price(Record):
    """US dollars for a million tokens; `batch` is the factor of the Batch API."""

    prompt: Dollars
    completion: Dollars
    cached_prompt: Dollars | None = None
    batch: Annotated[float, Within(1e-6, 10, "it is a factor of the price", or_zero=True)] = Field(0.5, strict=True)

    def of(self, reply: ChatReply) -> float:
        """Dollars for one reply."""
        cached = self.prompt if self.cached_prompt is None else self.cached_prompt
        fresh_tokens = max(reply.prompt_tokens - reply.cached_tokens, 0)
        cost = fresh_tokens * self.prompt + reply.cached_tokens * cached + reply.completion_tokens * self.completion
        return cost / _MILLION * (self.batch if reply.tariff == "batch" else 1.0)


class PriceList(Record):
    """The prices of a file, by model. `source` is where they are from, `as_of` their date."""

    models: dict[Text, Price]
    source: str = ""
    as_of: str = ""

    def find(self, model: str) -> Price | None:
        """The price of a model, or of its undated name; None where it is not listed."""
        return self.models.get(model) or self.models.get(_DATE.sub("", model))

    def cost_usd(self, model: str, reply: ChatReply) -> float | None:
        """Dollars for one reply; None where the price or the endpoint's count of tokens is missing."""
        return self.at_most_usd(model, reply) if reply.is_counted else None

    def at_most_usd(self, model: str, reply: ChatReply) -> float | None:
        """Dollars for one reply, by an estimate of its tokens where the endpoint gave no count; for budgets."""
        price = self.find(model)
        return None if price is None else price.of(reply)


def read_prices(path: str | None) -> PriceList:
    """Read a price file; none: the one that comes with the package.

    Raises:
        ConfigError: it is missing, not TOML, or has a price that is none.
    """
    file = DEFAULT_PRICES if path is None else Path(path).expanduser()
    values = read_toml(file, "the price file", f"Copy {DEFAULT_PRICES}.")
    try:
        return PriceList.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if str(part) != "[key]")
        came = "" if first["type"] == "missing" else f" (came: {shorten(first['input'])})"
        raise ConfigError(
            f"The price file {file}: {where}: {first['msg']}{came}. Compare with {DEFAULT_PRICES}."
        ) from error
