"""Makes the original engine several times faster by keeping results of three of its pure functions.

TextWorld parses the same texts again at every step, and translates the same game four times at every start. Nothing it
answers changes by this; `python -m tests.parity.compare --stock` plays without.
"""

from copy import deepcopy
from functools import cache, lru_cache


def memoise() -> None:
    """Change TextWorld in this process."""
    import fast_downward
    from textworld.envs.pddl import textgen

    parsed = cache(textgen._parse_and_convert)
    textgen._parse_and_convert = lambda *args, **kwargs: deepcopy(parsed(*args, **kwargs))  # callers write into it
    textgen.Rule.parse_conjunctive_query = staticmethod(cache(textgen.Rule.parse_conjunctive_query))
    fast_downward.pddl2sas = lru_cache(maxsize=2)(fast_downward.pddl2sas)
