"""The project's pages, and the commands that they show."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "data/README.md", "tests/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
SHELL = ("sh", "bash", "shell", "console")
_BLOCK = re.compile(
    r"(?:^ *<!-- not run: (?P<why>.+) -->\n+)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```", re.M | re.S
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fence of a page. `why_not_run` is what the page says of commands that no test runs."""

    language: str
    text: str
    why_not_run: str | None


def blocks_of(page):
    """The fences of a page, in order."""
    return [
        Block(language=found["language"], text=found["text"], why_not_run=found["why"])
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def commands_of(block):
    """The commands of a fence, each as a list of words, comments left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]
