"""Writing solvable games of all six task types, in ALFWorld's own file format, from a seed.

A game is drawn in this order: task type (in turn, so that any first n games are balanced), scene, kinds of object and
target, the places of the objects. Goal objects never start in a receptacle of the target's kind.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

from leap_core.envs.alfworld.engine.game_file import domain_text, grammar_for
from leap_core.envs.alfworld.engine.narration import number_names
from leap_core.envs.alfworld.engine.problem import Game, Placed, Receptacle, problem_text, walkthrough
from leap_core.envs.alfworld.games.scenes import Scene, make_scenes
from leap_core.envs.alfworld.world.goals import APPLIANCES, CLEAN, COOL, HEAT, LOOK, PICK, PICK_TWO, TASK_TYPES, Goal
from leap_core.envs.alfworld.world.kinds import BATHROOM, KITCHEN, LAMP, LAMP_PRIOR, LAMP_ROOMS, OBJECTS, ROOMS
from leap_core.errors import UnknownNameError

SPLITS = ("train", "dev", "test")

_ROOMS_OF_TASK = {
    PICK: ROOMS,
    LOOK: LAMP_ROOMS,
    CLEAN: (KITCHEN, BATHROOM),
    HEAT: (KITCHEN,),
    COOL: (KITCHEN,),
    PICK_TWO: ROOMS,
}
_NUM_OBJECTS = {"small": (8, 12), "full": (18, 30)}
_FEW_KINDS = (
    *("Mug", "Plate", "Apple", "Tomato", "Potato", "Fork", "Pan"),
    *("Cloth", "SoapBar", "SprayBottle", "ToiletPaper"),
    *("Book", "CellPhone", "KeyChain", "Pillow", "CD", "RemoteControl"),
)
_KINDS_OF = {"small": {name: OBJECTS[name] for name in _FEW_KINDS}, "full": OBJECTS}
"""Small rooms hold few kinds, so that a very small student meets each of them often enough to learn where it lies."""
_MOST_OF_A_KIND = {"small": 2, "full": 4}
_EXTRA_SHARE = 0.2
"""How often there is one more object of the goal's kind than needed; any of them will do."""
_TOGETHER_SHARE = 0.4
"""How often the two objects of a pick-two game start in one receptacle."""


@dataclass(frozen=True, kw_only=True)
class _Choice:
    """What a game is about, before anything is placed. Kinds in ALFWorld's spelling."""

    task_type: str
    scene: Scene
    object_kind: str
    target_kind: str


def generate_games(root: Path, counts: Mapping[str, int], seed: int, scene_size: str) -> list[tuple[str, Path]]:
    """Write games below `root/games/<split>/<task>-<object>-None-<target>-<scene>/<trial>/`.

    The same arguments give the same bytes. Train and dev share scenes, test has its own; no two games are the same
    in scene, goal and places. A split does not depend on the others, and a longer one begins with a shorter one.

    Args:
        root: the directory to write to; made if it is missing.
        counts: how many games each of "train", "dev", "test" gets; a split left out gets none.
        seed: of everything that is drawn.
        scene_size: "small" (6-9 receptacles) or "full" (18-30, like ALFWorld's own rooms).

    Returns:
        (split, path of `game.tw-pddl` relative to `root`), train first, then dev, then test, in playing order.

    Raises:
        UnknownNameError: no such split or size.
    """
    for split in counts:
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
    scenes = make_scenes(seed, scene_size)
    return [
        (split, _write(root, split, game))
        for split in SPLITS
        for game in _new_games(scenes.of(split), f"{seed}/{scene_size}", split, counts.get(split, 0))
    ]


def _new_games(scenes: Sequence[Scene], source: str, split: str, num: int) -> Iterator[Game]:
    taken: set[str] = set()
    for index in range(num):
        games = (draw_game(scenes, source, split, index, attempt) for attempt in count())
        game = next(game for game in games if may_be_in(split, game) and game.digest not in taken)
        taken.add(game.digest)
        yield game


def may_be_in(split: str, game: Game) -> bool:
    """Of the games of the scenes that they share, a quarter may be in dev and the rest in train, by their digest."""
    return split == "test" or (split == "dev") == (game.digest[0] in "0123")


def draw_game(scenes: Sequence[Scene], source: str, split: str, index: int, attempt: int) -> Game:
    """Draw game number `index` of a split; `source` is "<seed>/<size>", `attempt` tells redraws apart."""
    rng = Random(f"{source}/{split}/{index}/{attempt}")
    size = source.rpartition("/")[2]
    choice = _choose(TASK_TYPES[index % len(TASK_TYPES)], scenes, size, rng)
    receptacles = furnish(choice.scene, source)
    kinds = _kinds_to_place(choice, size, rng)
    goal = Goal(
        task_type=choice.task_type, object_kind=choice.object_kind.lower(), target_kind=choice.target_kind.lower()
    )
    return Game(
        id=f"trial_{split}_{index:05d}",
        scene=choice.scene,
        goal=goal,
        object_kind=choice.object_kind,
        target_kind=choice.target_kind,
        sentence=goal.sentence(rng.randrange(2)),
        receptacles=receptacles,
        objects=_place(kinds, choice, receptacles, rng),
        start="loc_bar_0_bar_0_bar_0_bar_30",
    )


def _choose(task_type: str, scenes: Sequence[Scene], size: str, rng: Random) -> _Choice:
    """Draw room, scene, object and target, again until the scene offers a pair that fits."""
    while True:
        room = rng.choice(_ROOMS_OF_TASK[task_type])
        scene = rng.choice([scene for scene in scenes if scene.room == room])
        pairs = {kind: _targets(task_type, kind, scene) for kind in _KINDS_OF[size]}
        kinds = [kind for kind, targets in pairs.items() if targets]
        if kinds:
            kind = rng.choice(kinds)
            return _Choice(task_type=task_type, scene=scene, object_kind=kind, target_kind=rng.choice(pairs[kind]))


def _targets(task_type: str, kind: str, scene: Scene) -> list[str]:
    """Where an object of this kind can be brought in this scene; empty if it does not suit the task or the room."""
    spec = OBJECTS[kind]
    verb, appliance = APPLIANCES.get(task_type, ("", ""))
    if scene.room not in spec.rooms or (verb and f"{verb}able" not in spec.abilities):
        return []
    if len(_present(spec.prior, scene)) < 2:  # else there is nothing to search
        return []
    if task_type == LOOK:
        return [LAMP]
    return [place for place in scene.receptacles if place in spec.fits - spec.prior.keys() - {appliance}]


def _present(prior: Mapping[str, float], scene: Scene) -> dict[str, float]:
    return {place: weight for place, weight in prior.items() if place in scene.receptacles}


def _kinds_to_place(choice: _Choice, size: str, rng: Random) -> list[str]:
    """The kinds of all objects of a game: the goal's first, then the lamp, then others to look past."""
    num_goal = (2 if choice.task_type == PICK_TWO else 1) + (rng.random() < _EXTRA_SHARE)
    kinds = [choice.object_kind] * num_goal + [LAMP] * (choice.scene.room in LAMP_ROOMS)
    others = [
        kind
        for kind, spec in _KINDS_OF[size].items()
        if choice.scene.room in spec.rooms and kind != choice.object_kind and _present(spec.prior, choice.scene)
    ]
    pool = others * _MOST_OF_A_KIND[size]
    rng.shuffle(pool)
    return kinds + pool[: max(0, rng.randint(*_NUM_OBJECTS[size]) - len(kinds))]


def _place(kinds: Sequence[str], choice: _Choice, receptacles: Sequence[Receptacle], rng: Random) -> tuple[Placed, ...]:
    places = [_draw_place(kind, choice.scene, receptacles, rng) for kind in kinds]
    if choice.task_type == PICK_TWO and rng.random() < _TOGETHER_SHARE:
        places[1] = places[0]
    ids = [f"{kind}{position}" for kind, position in zip(kinds, _positions(len(kinds), rng), strict=True)]
    names = number_names(id.lower() for id in ids)
    placed = zip(ids, kinds, places, strict=True)
    return tuple(
        Placed(id=id, name=names[id.lower()], kind=kind, receptacle=receptacle)
        for id, kind, receptacle in sorted(placed, key=lambda item: item[0])
    )


def _draw_place(kind: str, scene: Scene, receptacles: Sequence[Receptacle], rng: Random) -> Receptacle:
    prior = _present(LAMP_PRIOR if kind == LAMP else OBJECTS[kind].prior, scene)
    place = rng.choices(list(prior), weights=list(prior.values()))[0]
    return rng.choice([receptacle for receptacle in receptacles if receptacle.kind == place])


def _positions(num: int, rng: Random) -> Iterator[str]:
    """Distinct positions in a room, in metres to the centimetre, written as ALFWorld writes them in ids."""
    taken: set[tuple[int, ...]] = set()
    while len(taken) < num:
        position = (rng.randint(-400, 400), rng.randint(0, 200), rng.randint(-400, 400))
        if position not in taken:
            taken.add(position)
            yield "".join(f"_bar_{_coordinate(centimetres)}" for centimetres in position)


def _coordinate(centimetres: int) -> str:
    sign = "_minus_" if centimetres < 0 else "_plus_"
    whole, hundredths = divmod(abs(centimetres), 100)
    return f"{sign}{whole:02d}_dot_{hundredths:02d}"


def furnish(scene: Scene, source: str) -> tuple[Receptacle, ...]:
    """The receptacles of a scene, each at a place of its own; the same for every game of the scene."""
    rng = Random(f"{source}/furniture/{scene.number}")
    kinds = [kind for kind, num in scene.receptacles.items() for _ in range(num)]
    ids = [_receptacle_id(kind, position) for kind, position in zip(kinds, _positions(len(kinds), rng), strict=True)]
    names = number_names(id.lower() for id in ids)
    return tuple(
        Receptacle(id=id, name=names[id.lower()], kind=kind, location=f"loc_bar_{place}_bar_0_bar_0_bar_30")
        for place, (id, kind) in enumerate(sorted(zip(ids, kinds, strict=True)), start=1)
    )


def _receptacle_id(kind: str, position: str) -> str:
    """A basin's id names the whole fixture first: `Sink_bar_..._bar_SinkBasin`."""
    return f"{kind.removesuffix('Basin')}{position}_bar_{kind}" if kind.endswith("Basin") else f"{kind}{position}"


def _write(root: Path, split: str, game: Game) -> Path:
    task = f"{game.goal.task_type}-{game.object_kind}-None-{game.target_kind}-{game.scene.number}"
    relative = Path("games", split, task, game.id, "game.tw-pddl")
    folder = (root / relative).parent
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "pddl_domain": domain_text(),
        "grammar": grammar_for(game.sentence),
        "pddl_problem": problem_text(game),
        "solvable": True,
        "walkthrough": walkthrough(game),
    }
    (root / relative).write_text(json.dumps(content) + "\n", encoding="utf-8")
    (folder / "traj_data.json").write_text(json.dumps(_traj_data(game), indent=1) + "\n", encoding="utf-8")
    return relative


def _traj_data(game: Game) -> dict[str, object]:
    """What ALFWorld's own loader reads beside a game."""
    looking = game.goal.task_type == LOOK
    return {
        "task_id": game.id,
        "task_type": game.goal.task_type,
        "pddl_params": {
            "mrecep_target": "",
            "object_sliced": False,
            "object_target": game.object_kind,
            "parent_target": "" if looking else game.target_kind,
            "toggle_target": game.target_kind if looking else "",
        },
        "scene": {"floor_plan": f"FloorPlan{game.scene.number}", "scene_num": game.scene.number},
        "turk_annotations": {"anns": [{"task_desc": f"{game.sentence[0].upper()}{game.sentence[1:]}."}]},
    }
