"""WebShop's expert: as a player, as a teacher of a student's own episodes, and what may be said of the hidden goal."""

import pytest
from answering import Answering
from webshop_files import HUMAN, row, write_data

from leap_core.config import CorrectionConfig, EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.envs.webshop.oracle import WebshopOracle
from leap_core.envs.webshop.privileged import HiddenGoal
from leap_core.envs.webshop.site.wording import fit, price_limit, queries, telling_words, without_price
from leap_core.envs.webshop.suite import WebshopSuite
from leap_core.errors import ConfigError, LeapError, UnknownNameError, WrongSpecError
from leap_core.gate.realizability import Gate
from leap_core.loading import open_pool
from leap_core.method.correction import correct_episodes, needs_correction
from leap_core.method.dataset import assemble, correction_rows, demonstration_rows
from leap_core.method.demonstrations import demonstrate, successful
from leap_core.method.rollout import RolloutSettings, play_episodes
from leap_core.prompts import load_prompts
from leap_core.teachers.base import TeacherSetup
from leap_core.teachers.oracle import OracleTeacher
from leap_core.teachers.privilege import PrivilegedEpisode
from leap_core.types import Action, CorrectionStatus, Observation, Spec, Step, StepCorrection, StopReason

CONFIG = EnvironmentConfig(name="webshop", num_train=24, num_dev=3, num_test=3, params={"nouns": "rules"})
SUITE = WebshopSuite(CONFIG)
MOST_STEPS = 15


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("webshop")


@pytest.fixture(scope="module")
def specs(root):
    return SUITE.prepare(root, "train", 5)


@pytest.fixture(scope="module")
def hidden(root, specs):
    return {spec.id: SUITE.privileged_state(root, spec) for spec in specs}


def test_the_category_of_a_goal_is_no_secret_where_the_instruction_says_it_but_the_product_is(root, specs, hidden):
    stopped = 0
    for spec in specs:
        facts = HiddenGoal.of(hidden[spec.id])
        command = f"search[{queries(spec.instruction)[0]}]"
        step = Step(index=0, observation=Observation(text="WebShop"), action=Action(reason="", command=command))
        episode = played(root, spec, hidden[spec.id], 0).with_(steps=(step,))
        gate = Gate(episode, hidden[spec.id])

        def why(reason, gate=gate, command=command):
            correction = StepCorrection(step=0, reason=reason, command=command, status=CorrectionStatus.KEPT)
            return gate.why_rejected(correction, 0)

        stopped += why(f"I search for {facts.topics[0]}.") != ""
        assert why(f"I look for {facts.asin}.").startswith("leak")
        assert why(f"It is the {facts.name}.").startswith("leak")
        assert why(f"I may pay ${facts.price_limit or 0:.0f}.") == ""
    assert stopped <= len(specs) / 8


def played(root, spec, state, level):
    return demonstrate(SUITE.make(root), WebshopOracle(), spec, state, level, MOST_STEPS)


def test_it_buys_what_is_worth_the_full_score_within_the_papers_limit(root, specs, hidden):
    for spec in specs:
        episode = played(root, spec, hidden[spec.id], 100)
        assert episode.score == 1.0, [step.action.command for step in episode.steps]


@pytest.mark.parametrize(("styles", "is_right"), [(("hanging", "flat"), True), (("large", "hanging"), False)])
def test_an_item_is_right_only_if_what_is_wanted_can_be_clicked(tmp_path, monkeypatch, styles, is_right):
    """A click on "large" chooses a style where there is a style "large"; then no size can be chosen."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    values = {"Size": ("small", "large"), "Style": styles}
    options = {name: [{"value": value} for value in some] for name, some in values.items()}
    wanted = {**HUMAN, "instruction_options": ["large", "hanging"]}
    product = row(customization_options=options)
    folder = write_data(tmp_path / "data", [product], human={product["asin"]: [wanted]})
    suite = WebshopSuite(CONFIG.with_(data=str(folder)))
    (spec,) = suite.prepare(tmp_path / "specs", "test", 0)
    hidden = suite.privileged_state(tmp_path / "specs", spec)
    assert bool(HiddenGoal.of(hidden).right_items) is is_right
    assert (played(tmp_path / "specs", spec, hidden, 100).score == 1) is is_right


@pytest.mark.parametrize("level", [0, 25, 50, 75])
def test_with_less_privilege_it_buys_something_for_the_most_part(root, specs, hidden, level):
    episodes = [played(root, spec, hidden[spec.id], level) for spec in specs[:8]]
    assert all(episode.stop_reason is StopReason.TERMINATED for episode in episodes)
    assert sum(episode.score for episode in episodes) / len(episodes) > 0.5


def test_a_missing_file_is_found_before_anything_is_built(tmp_path):
    folder = write_data(tmp_path, [row()])
    (folder / "items_ins_v2_1000.json").unlink()
    with pytest.raises(LeapError, match=r"No items_ins_v2_1000\.json"):
        WebshopSuite(CONFIG.with_(data=str(folder))).check_data()


def test_at_level_0_the_hidden_goal_changes_nothing(root, specs, hidden):
    one, other = specs[:2]
    episode = played(root, one, hidden[one.id], 0)
    assert episode == played(root, one, hidden[other.id], 0)


def test_every_command_it_gives_is_offered_and_its_searches_are_the_instructions_words(root, specs, hidden):
    for spec in specs:
        for step in played(root, spec, hidden[spec.id], 100).steps:
            offered, command = step.observation.admissible, step.action.command
            if offered is None:
                words = command.removeprefix("search[").removesuffix("]").split()
                assert set(words) <= set(spec.instruction.lower().split()) | set(telling_words(spec.instruction))
            else:
                assert command in offered


def wandering(messages):
    """A student that looks at the first item's description for ever."""
    shown = messages[-1].content
    if "[button] Search [button_]" in shown:
        return "REASON: I look around.\nACTION: search[lamp]"
    commands = [line[2:] for line in shown.splitlines() if line.startswith("- click[")]
    wanted = ("click[description]", "click[item", "click[< prev]")
    command = next(command for start in wanted for command in commands if command.startswith(start))
    return f"REASON: I look around.\nACTION: {command}"


def test_from_a_students_episodes_to_rows_to_train_on(root, specs, hidden):
    prompts, config = load_prompts("webshop", "default"), CorrectionConfig(level=100)
    settings = RolloutSettings(
        iteration=1, seed=0, max_steps=6, max_consecutive_invalid=3, constrain=False, batch_size=4
    )
    student = Answering(lambda request: wandering(request.messages))
    with open_pool(CONFIG, root, 0) as pool:
        trajectories = play_episodes(student, pool, prompts, specs[:6], settings)
    assert all(trajectory.stop_reason is StopReason.STEP_LIMIT for trajectory in trajectories)
    assert all(step.valid for trajectory in trajectories for step in trajectory.steps)
    assert all(needs_correction(trajectory, config.threshold) for trajectory in trajectories)
    setup = TeacherSetup(
        config=config, suite=SUITE, execution=ExecutionConfig(), student=StudentConfig(), experiment="x"
    )
    episodes = [PrivilegedEpisode(trajectory=one, privileged=hidden[one.spec.id]) for one in trajectories]
    corrections = correct_episodes(OracleTeacher(setup), episodes)
    steps = [step for correction in corrections for step in correction.steps]
    assert [step.why for step in steps if step.status is CorrectionStatus.REJECTED] == []
    assert {step.status for step in steps} == {CorrectionStatus.KEPT, CorrectionStatus.CHANGED}
    pairs = zip(episodes, corrections, strict=True)
    rows = [
        row
        for one, correction in pairs
        for row in correction_rows(one.trajectory, correction, one.privileged, prompts, {})
    ]
    shown = demonstration_rows(successful([played(root, specs[0], hidden[specs[0].id], 100)]), prompts, 100)
    dataset = assemble([shown, rows], "all", 0.15, 0)
    assert len(dataset) == len(shown) + len(rows)


def test_a_goal_and_the_way_to_it(specs, hidden):
    for spec in specs:
        facts = HiddenGoal.of(hidden[spec.id])
        text = hidden[spec.id].text
        assert f"Instruction: {spec.instruction}" in text
        assert all(attribute in text for attribute in facts.attributes)
        assert facts.name in text
        assert facts.price_limit == price_limit(spec.instruction)
        assert facts.asin in {item.asin for item in facts.right_items}
        assert 1 <= facts.page <= 5
        assert facts.search in queries(spec.instruction)


def test_specs_are_goals_of_their_split_in_the_original_order(root, specs):
    assert {spec.group for spec in specs} == {"beauty", "electronics", "fashion", "garden", "grocery"}
    assert all(spec.params == {"goal": spec.id.removeprefix("train/"), "nouns": "rules"} for spec in specs)
    dev = SUITE.prepare(root, "dev", 5)
    assert {spec.params["goal"] for spec in dev}.isdisjoint(spec.params["goal"] for spec in specs)


def test_synthetic_goals(tmp_path):
    config = EnvironmentConfig(name="webshop", num_train=5, params={"goals": "synthetic"})
    assert all("/synthetic-" in spec.id for spec in WebshopSuite(config).prepare(tmp_path, "train", 5))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"goal": "human"}, UnknownNameError, "goals"),
        ({"goals": "robots"}, ConfigError, "environment.params.goals"),
        ({"nouns": "nltk"}, ConfigError, "environment.params.nouns"),
        ({"price_seed": -1}, ConfigError, "environment.params.price_seed"),
    ],
)
def test_wrong_settings(params, error, message):
    with pytest.raises(error, match=message):
        WebshopSuite(EnvironmentConfig(name="webshop", params=params))


def test_a_split_without_goals(tmp_path):
    config = EnvironmentConfig(name="webshop", params={"num_products": 80, "num_goals": 40})
    with pytest.raises(LeapError, match=r"no human goals for the train split.*synthetic"):
        WebshopSuite(config).prepare(tmp_path, "train", 0)


def test_the_hidden_goal_of_another_environments_spec(root):
    spec = Spec(id="x", env="alfworld", split="train", instruction="put a mug in cabinet")
    with pytest.raises(WrongSpecError, match="webshop"):
        SUITE.privileged_state(root, spec)


@pytest.mark.parametrize(
    ("instruction", "words", "limit"),
    [
        ("i'm looking for a red shirt, and price lower than 40.00 dollars", ["red", "shirt"], 40.0),
        (
            "Please find me size 7.5 women's shoes that are machine-washable",
            ["7.5", "women's", "shoes", "machine-washable"],
            None,
        ),
    ],
)
def test_what_an_instruction_tells(instruction, words, limit):
    assert telling_words(without_price(instruction)) == words
    assert price_limit(instruction) == limit
    assert queries(instruction)[0] == " ".join(words)


def test_how_well_a_title_fits():
    assert fit(["red", "shoes"], "Red Running Shoe for Men") == 1.0
    assert fit(["red", "shoes"], "Tailored Coat") == 0.0
    assert fit([], "anything") == 0.0
