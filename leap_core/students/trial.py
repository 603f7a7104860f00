"""The first rendering of somebody's chat template, in a process of its own with limits on time and memory.

jinja2's sandbox keeps templates from files and programs, but not from endless loops or texts, and nothing can stop such
a rendering from within the process. So a template first renders made-up conversations where the kernel enforces limits.
It must then give the same text in this process: random numbers and memory addresses have no place in a prompt.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache

from leap_core.errors import StudentError

Chat = Sequence[Mapping[str, object]]
"""Messages as templates take them."""

_MOST_CPU_S, _MOST_BYTES = 10, 4 << 30
_MOST_CHARACTERS = 10_000_000
_TOO_MUCH_MEMORY, _TOO_LONG = 3, 4
_CHILD = f"""
import json, resource, sys
from transformers.utils.chat_template_utils import render_jinja_template
resource.setrlimit(resource.RLIMIT_CPU, ({_MOST_CPU_S}, {_MOST_CPU_S}))
resource.setrlimit(resource.RLIMIT_AS, ({_MOST_BYTES}, {_MOST_BYTES}))
told, texts = json.load(sys.stdin), []
for chat in told["chats"]:
    try:
        text = render_jinja_template(
            [chat], chat_template=told["template"], add_generation_prompt=True, **told["variables"]
        )[0][0]
    except MemoryError:
        sys.exit({_TOO_MUCH_MEMORY})
    except Exception:  # the same happens where it is rendered in earnest, and is told there
        text = None
    if text is not None and len(text) > {_MOST_CHARACTERS}:
        sys.exit({_TOO_LONG})
    texts.append(text)
json.dump(texts, sys.stdout)
"""
_TAME_STATEMENTS = {"Template", "Output", "TemplateData", "For", "If"}
_TAME_OPERATORS = {"Compare", "Operand", "And", "Or", "Not", "Add", "Concat", "CondExpr"}
_TAME_NODES = _TAME_STATEMENTS | _TAME_OPERATORS | {"Name", "Getattr", "Getitem", "Const"}
_TAME_NAMES = frozenset({"messages", "message", "m", "loop", "bos_token", "eos_token", "add_generation_prompt"})


def try_template(template: str, variables: Mapping[str, object], chats: Sequence[Chat]) -> list[str | None]:
    """What `template` writes for each of the chats, with a generation prompt; None for one that it refuses.

    Raises:
        StudentError: it takes too long, too much memory, or writes too much.
    """
    told = json.dumps({"template": template, "variables": dict(variables), "chats": chats})
    return list(json.loads(_run(told)))


def is_tame(template: str) -> bool:
    """Whether a template does nothing but go through the messages once, so that it needs no trial."""
    from jinja2 import Environment, TemplateError, nodes

    try:
        tree = Environment().parse(template)  # only looked at
    except (TemplateError, RecursionError):
        return False
    found = list(tree.find_all(nodes.Node))
    loops = [node for node in found if isinstance(node, nodes.For)]
    return (
        all(type(node).__name__ in _TAME_NODES for node in found)
        and {node.name for node in found if isinstance(node, nodes.Name)} <= _TAME_NAMES
        and all(isinstance(loop.iter, nodes.Name) and loop.iter.name == "messages" for loop in loops)
        and not any(loop.recursive or any(part.find(nodes.For) for part in loop.body) for loop in loops)
    )


@lru_cache(maxsize=64)
def _run(told: str) -> str:
    done = subprocess.run([sys.executable, "-c", _CHILD], input=told, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    if done.returncode in (_TOO_MUCH_MEMORY, _TOO_LONG):
        what = "takes more memory, or writes more text, than any prompt can need"
    elif done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        what = f"is not done after {_MOST_CPU_S} s"
    else:
        what = f"ends the process that renders it with code {done.returncode}"
    raise StudentError(
        f"The chat template of this model {what}, for a conversation of a few turns. Mend its chat_template.jinja, or "
        "take the one of the model that it was made from."
    )
