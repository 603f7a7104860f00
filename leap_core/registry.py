"""Choosing a kind by name: an explicit dict from name to "module:Class", imported when first asked for."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from leap_core.errors import UnknownNameError


def load_kind(what: str, name: str, kinds: Mapping[str, str]) -> Any:
    """Return the class that `name` stands for in `kinds`; raise UnknownNameError where it is none of them."""
    check_kind(what, name, kinds)
    module, _, attribute = kinds[name].partition(":")
    return getattr(import_module(module), attribute)


def check_kind(what: str, name: str, kinds: Mapping[str, str]) -> None:
    """Raise UnknownNameError unless `name` is one of `kinds`; `what` is the word for it. Nothing is imported."""
    if name not in kinds:
        raise UnknownNameError(what, name, kinds)
