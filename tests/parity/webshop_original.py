"""The original WebShop from a checkout of its repository, made to run beside this project's.

What it needs and nobody can install easily is put in its place here; its own code stays as it is:

- pyserini (Java, Lucene): a searcher with this project's ranking, so that pages can be compared;
- spaCy's model: this project's noun step, the same on both sides; with `real_spacy`, spaCy itself;
- rich: a `print` that prints nothing, as the first one of rich's draws random numbers, and prices come out otherwise;
- torch, selenium, cleantext, rank_bm25 and gym's base class: empty modules; nothing that is compared uses them.

Flask, beautifulsoup4, thefuzz and tqdm are the real ones. Prices are drawn after `random.seed(price_seed)`.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

from leap_core.envs.webshop.shop.goals import Goal
from leap_core.envs.webshop.shop.shop import Shop
from leap_core.envs.webshop.site.actions import draw_for
from leap_core.envs.webshop.site.nouns import load_nouns


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the original shows at one moment. `offered` are its wrapper's valid actions."""

    text: str
    clickables: tuple[str, ...]
    offered: tuple[str, ...]


class OriginalShop:
    """The original's server over data files, with its paper's wrapper around it.

    Args:
        checkout: of princeton-nlp/WebShop.
        data: folder with `items_shuffle.json`, `items_ins_v2.json` and `items_human_ins.json`.
        shop: this project's shop of the same files, which ranks results.
        human_goals: or else synthetic ones.
        real_spacy: find nouns with spaCy; else with the rules of this project.
    """

    def __init__(self, checkout: Path, data: Path, shop: Shop, human_goals: bool = True, real_spacy: bool = False):
        _shim(checkout, data, shop, real_spacy)
        text_env = importlib.import_module("web_agent_site.envs.web_agent_text_env")
        sys.modules["web_agent_site.envs"].WebAgentTextEnv = text_env.WebAgentTextEnv
        self._wrapper = _load(checkout / "baseline_models" / "env.py", "webshop_wrapper")
        random.seed(shop.report.price_seed)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            products = str(data / "items_shuffle.json")
            self.server = text_env.SimServer("http://127.0.0.1:3000", products, human_goals=human_goals)
            self._env = self._wrapper.WebEnv(_arguments(human_goals), split="test", server=self.server)
        self._spec_id, self._num_steps = "", 0

    def goals(self):
        """Its goals, in its order."""
        return self.server.goals

    def reset(self, goal: Goal, spec_id: str) -> Seen:
        """Start the episode of a goal; `spec_id` decides which commands are left out of long lists."""
        self._spec_id, self._num_steps = spec_id, 0
        self._wrapper.random = draw_for(spec_id, 0)
        text, _ = self._env.reset(goal.number)
        return self._seen(text)

    def step(self, command: str) -> tuple[Seen, float, bool]:
        """What it shows then, the reward in [0, 1], and whether the episode is over."""
        text, tenfold, done, _ = self._env.step(command)
        self._num_steps += 1
        reward = self._env.session.get("reward", 0.0) if done else tenfold / 10
        return self._seen(text), reward, done

    def start(self, goal: Goal) -> None:
        """Start an episode, and look at nothing."""
        self._env.reset(goal.number)

    def play(self, command: str) -> None:
        """Take a step, and look at nothing: the wrapper itself makes the list of actions."""
        self._env.step(command)

    def names_of(self, clickables: tuple[str, ...]) -> dict[str, str]:
        """The names, in lower case, of those clickables that are items, by asin in lower case."""
        return {name: self._env.asin2name[name] for name in clickables if name in self._env.asin2name}

    def is_unique(self, name: str) -> bool:
        """Whether only one item of the shop has this name."""
        return list(self._env.asin2name.values()).count(name) == 1

    def parts(self) -> dict[str, float | None]:
        """The four parts of the score of the last purchase."""
        info = self._env.session["verbose_info"]
        return {
            "type": info["r_type"],
            "attributes": info["r_att"],
            "options": info.get("r_option"),
            "price": float(info["r_price"]),
        }

    def _seen(self, text: str) -> Seen:
        clickables = tuple(self._env.env.get_available_actions()["clickables"])
        self._wrapper.random = draw_for(self._spec_id, self._num_steps)
        return Seen(text=text, clickables=clickables, offered=tuple(self._env.get_valid_actions()))


def _arguments(human_goals: bool) -> SimpleNamespace:
    """The wrapper's own defaults, but no limit on steps, which is the caller's on both sides."""
    return SimpleNamespace(
        state_format="text_rich", num=None, human_goals=int(human_goals), get_image=0, num_prev_obs=0,
        num_prev_actions=0, step_limit=0, click_item_name=1, harsh_reward=0, go_to_item=0, go_to_search=0, ban_buy=0,
        extra_search_path="",
    )  # fmt: skip


class _Searcher:
    """Stands in for pyserini's LuceneSearcher."""

    shop: Shop

    def __init__(self, folder):
        pass

    def search(self, query, k):
        return [SimpleNamespace(docid=asin) for asin in self.shop.search(query, k)]

    def doc(self, asin):
        return SimpleNamespace(raw=lambda: json.dumps({"id": asin}))


class _RuleModel:
    """Stands in for spaCy's model: tokens that are nouns, by this project's rules."""

    def __call__(self, title):
        return [SimpleNamespace(text=noun, pos_="NOUN") for noun in load_nouns("rules")(title)]


def _shim(checkout: Path, data: Path, shop: Shop, real_spacy: bool) -> None:
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    for name in [name for name in sys.modules if name.partition(".")[0] == "web_agent_site"]:
        del sys.modules[name]
    _Searcher.shop = shop
    _module("torch")
    _module("selenium")
    _module("cleantext")
    _module("rank_bm25", BM25Okapi=None)
    _module("gym", Env=object)
    _module("rich", print=lambda *texts: None)
    _module("pyserini")
    _module("pyserini.search")
    _module("pyserini.search.lucene", LuceneSearcher=_Searcher)
    if not real_spacy:
        _module("spacy", load=lambda name: _RuleModel())
    utils = importlib.import_module("web_agent_site.utils")
    utils.DEFAULT_ATTR_PATH = str(data / "items_ins_v2.json")
    utils.HUMAN_ATTR_PATH = str(data / "items_human_ins.json")
    _module("web_agent_site.envs").__path__ = [str(checkout / "web_agent_site" / "envs")]  # without its __init__


def _module(name: str, **attributes) -> ModuleType:
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(attributes)
    return module


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
