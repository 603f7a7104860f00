"""Jinja templates of prompts: those of one set over those that sets share.

A name that a template uses and nobody gives is an error, never an empty text.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leap_core.disk.canonical import canonical_json, sha256_text


class Templates:
    """The templates in some folders; of two with the same name the one in the earlier folder counts."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._loader = FileSystemLoader(folders)
        self._jinja = Environment(  # prompts are plain text for a model, not HTML
            loader=self._loader,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # a run has one version of its templates, and need not look for another at each prompt
        )

    @cached_property
    def digest(self) -> str:
        """The sha256 of all of them, by name."""
        texts = {name: self._loader.get_source(self._jinja, name)[0] for name in self._jinja.list_templates()}
        return sha256_text(canonical_json(texts))

    def render(self, template: str, **values: object) -> str:
        """Fill one template in."""
        return self._jinja.get_template(template).render(**values).strip()
