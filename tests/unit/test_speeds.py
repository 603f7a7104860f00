"""How fast a student plays and is trained: figures from two turns and a few updates, and what follows from them."""

import pytest
from student_models import conversation

from flows.forecast.speeds import SPEEDS, open_speeds
from flows.iteration import bootstrap
from leap_core.config import LeapConfig, TrainingConfig
from leap_core.store.artifacts import ArtifactStore
from leap_core.students.encoding import load_tokenizer
from leap_core.students.speed import PlayingSpeed, TurnTiming, compare_turns, lengths_of
from leap_core.students.weights import BUNDLED_DIRECTORY
from leap_core.trainers.speed import TrainingSpeed, tokens_of_rows
from tasks.run import Run

SETTINGS = {
    "student": {"model": "bundled", "prompt": "compact"},
    "training": {"method": "full", "batch_size": 2, "precision": "fp32"},
    "execution": {"batch_size": 4, "num_threads": 1, "device": "cpu"},
}


def timing(seconds, prompt_tokens, reply_tokens=10):
    return TurnTiming(seconds=seconds, prompt_tokens=prompt_tokens, reply_tokens=reply_tokens)


def test_two_turns_tell_what_reading_and_what_writing_takes():
    """1000 tokens and then 100 more are read at 200 a second; each token of the replies takes 0.3 s."""
    speed = compare_turns(32, 2.0, timing(5.0 + 3.0, 1000), timing(0.5 + 3.0, 1100))
    assert speed.prompt_tokens_a_s == pytest.approx(200)
    assert speed.reply_token_s == pytest.approx(0.3)
    assert (speed.rows, speed.load_s) == (32, 2.0)


def test_replies_of_another_length_do_not_blur_it():
    speed = compare_turns(32, 0.0, timing(5.0 + 3.0, 1000), timing(0.5 + 1.5, 1100, reply_tokens=5))
    assert speed.prompt_tokens_a_s == pytest.approx(200)
    assert speed.reply_token_s == pytest.approx(0.3)


def test_noise_never_makes_a_speed_less_than_nothing():
    speed = compare_turns(32, 0.0, timing(1.0, 1000), timing(9.0, 1100))
    assert speed.prompt_tokens_a_s > 0
    assert speed.reply_token_s > 0


def test_how_long_playing_takes():
    """90 steps of 50 tokens read and 10 written: in 30 turns of three episodes, of the four that may be together."""
    speed = PlayingSpeed(rows=4, prompt_tokens_a_s=100.0, reply_token_s=0.5, load_s=7.0)
    assert speed.seconds(90, 3, prompt_tokens=50, reply_tokens=10) == 7 + 90 * 50 / 100 + 30 * 10 * 0.5


def test_how_long_training_takes():
    assert TrainingSpeed(tokens_a_s=250.0, start_s=5.0).seconds(1000) == 9


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(BUNDLED_DIRECTORY)


def turns(num_steps):
    return [(conversation(0, step), "REASON: it may be there\nACTION: look") for step in range(num_steps)]


def test_of_a_prompt_only_what_the_step_before_did_not_have_is_read_again(tokenizer):
    one, four = (lengths_of(tokenizer, [turns(number)], constrain=False) for number in (1, 4))
    assert four.prompt_tokens < one.prompt_tokens
    assert four.reply_tokens == one.reply_tokens > 5


def test_long_replies_weigh_as_much_as_there_are_of_them(tokenizer):
    short, long = ([(conversation(0, 0), f"REASON: {words}\nACTION: look")] for words in ("no", "no " * 40))
    few, many, both = (lengths_of(tokenizer, some, constrain=False) for some in ([short], [long], [short, short, long]))
    assert both.reply_tokens == pytest.approx((2 * few.reply_tokens + many.reply_tokens) / 3)


def test_of_a_constrained_reply_the_reason_is_what_is_written_token_by_token(tokenizer):
    free, constrained = (lengths_of(tokenizer, [turns(1)], constrain=constrain) for constrain in (False, True))
    assert 0 < constrained.reply_tokens < free.reply_tokens
    assert constrained.prompt_tokens == free.prompt_tokens


def test_rows_of_an_episode_that_are_together_share_their_history(tokenizer):
    episodes, config = [turns(4)], TrainingConfig(batch_size=4)
    together, apart = (tokens_of_rows(tokenizer, episodes, config, at_most) for at_most in (4, 1))
    assert together < 0.7 * apart


@pytest.mark.slow
def test_a_model_is_measured_once_in_a_home(tmp_path):
    def ask():
        run = Run(config=LeapConfig.model_validate(SETTINGS), store=ArtifactStore(tmp_path), planning=True)
        bootstrap(run)
        told = []
        speeds = open_speeds(run, True, told.append)
        efforts = [outcome.stage.effort(run.planned_call(outcome)) for outcome in run.to_be_made]
        return [speeds(effort) for effort in efforts if effort and effort.activity], told

    found, told = ask()
    assert len(found) == len(told) == 2
    assert all(seconds > 0 for seconds, _ in found)
    assert (tmp_path / SPEEDS).is_file()
    assert ask() == (found, [])


@pytest.mark.parametrize(("measure", "model"), [(None, "bundled"), (False, "bundled"), (True, "tiny")])
def test_what_is_quick_or_not_made_yet_is_not_measured(tmp_path, measure, model):
    config = LeapConfig.model_validate({**SETTINGS, "student": {"model": model}})
    run = Run(config=config, store=ArtifactStore(tmp_path), planning=True)
    bootstrap(run)
    assert open_speeds(run, measure, print) is None
