"""What a reply costs, from a price file that users can edit. A model that is not in it has no known cost."""

import re
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError

from leap_core.chat.messages import ChatReply
from leap_core.errors import ConfigError
from leap_core.types import Record

DEFAULT_PRICES = Path(__file__).parent / "prices.toml"
_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
_MILLION = 1e6
_DEAREST = 1e6
"""More than anyone takes, and few enough that no sum is infinite."""


class Price(Record):
    """US dollars for a million tokens; `batch` is the factor of the Batch API."""

    prompt: float = Field(ge=0, le=_DEAREST)
    completion: float = Field(ge=0, le=_DEAREST)
    cached_prompt: float | None = Field(None, ge=0, le=_DEAREST)
    batch: float = Field(0.5, ge=0, le=1)

    def of(self, reply: ChatReply) -> float:
        """Dollars for one reply."""
        cached = self.prompt if self.cached_prompt is None else self.cached_prompt
        fresh_tokens = max(reply.prompt_tokens - reply.cached_tokens, 0)
        cost = fresh_tokens * self.prompt + reply.cached_tokens * cached + reply.completion_tokens * self.completion
        return cost / _MILLION * (self.batch if reply.tariff == "batch" else 1.0)


class PriceList(Record):
    """The prices of a file, by model. `source` and `as_of` say where they are from and when they held."""

    models: dict[str, Price]
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
    try:
        return PriceList.model_validate(tomllib.loads(file.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise ConfigError(f"Cannot read the price file {file}: {error.strerror}. Copy {DEFAULT_PRICES}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The price file {file} is not TOML: {error}. Compare with {DEFAULT_PRICES}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"The price file {file}: {where}: {first['msg']}. Compare with {DEFAULT_PRICES}.") from error
