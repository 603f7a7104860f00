"""Whether the CPU and the GPU play the same episode: replies in fp32, greedily, and how far apart the logits are."""

from pathlib import Path
from typing import Any

from leap_core.config import EnvironmentConfig, ExecutionConfig, StudentConfig
from leap_core.loading import load_suite, open_pool
from leap_core.method.rollout import RolloutSettings, play_episodes
from leap_core.prompts import load_prompts
from leap_core.students.weights import BUNDLED_DIRECTORY
from leap_core.types import Spec, Trajectory
from tests.gpu.job import Figures, Job, Stopwatch

MAX_STEPS = 15


def compare(job: Job, figures: Figures) -> None:
    """Play with the bundled student, and with the given model if there is one; on the CPU twice in a dry run."""
    models = {"bundled": BUNDLED_DIRECTORY, **({job.model.name: job.model} if job.model else {})}
    for name, model in models.items():
        with figures.unless_it_fails(name):
            figures[name] = _compare(model, job, num_episodes=4 if model == BUNDLED_DIRECTORY else 1)


def _compare(model: Path, job: Job, num_episodes: int) -> dict[str, Any]:
    environment = EnvironmentConfig(max_steps=4 if job.dry_run else MAX_STEPS, num_dev=num_episodes)
    root = job.folder / "specs" / str(num_episodes)
    root.mkdir(parents=True)
    specs = load_suite(environment).prepare(root, "dev", seed=0)
    here, watch = _play(model, "cpu", environment, root, specs), Stopwatch()
    there = _play(model, job.device, environment, root, specs)
    seconds = watch.read()
    pairs = [
        (first.reply, second.reply)
        for one, other in zip(here, there, strict=True)
        for first, second in zip(one.steps, other.steps, strict=False)
    ]
    return {
        "episodes": len(specs),
        "steps": sum(len(one.steps) for one in here),
        "same_replies": [one.steps for one in here] == [one.steps for one in there],
        "first_difference": next(([first, second] for first, second in pairs if first != second), None),
        "seconds_there": seconds,
        **_compare_logits(model, job.device, environment.name, here[0]),
    }


def _student_config() -> StudentConfig:
    own = {"precision": "fp32"} if "precision" in StudentConfig.model_fields else {}
    return StudentConfig(prompt="compact", max_new_tokens=96, constrain=True, temperature=0.0, **own)


def _play(model: Path, device: str, environment: EnvironmentConfig, root: Path, specs: list[Spec]) -> list[Trajectory]:
    from leap_core.students.hf import HfStudent

    config = _student_config()
    student = HfStudent(model, config, ExecutionConfig(device=device), temperature=0.0)
    settings = RolloutSettings(
        iteration=0,
        seed=0,
        max_steps=environment.max_steps,
        max_consecutive_invalid=None,
        constrain=config.constrain,
        batch_size=len(specs),
    )
    with open_pool(environment, root, 0) as pool:
        return play_episodes(student, pool, load_prompts(environment.name, config.prompt), specs, settings)


def _compare_logits(model: Path, device: str, environment: str, episode: Trajectory) -> dict[str, float]:
    """The largest difference over all tokens of the last prompt and its reply, and how large logits are."""
    import torch

    from leap_core.students.encoding import encode_completion, encode_prompt, load_tokenizer
    from leap_core.students.loading import load_model

    last, tokenizer = episode.steps[-1], load_tokenizer(model)
    prompts = load_prompts(environment, _student_config().prompt)
    messages = prompts.student_messages(episode.spec, episode.steps[:-1], last.observation)
    ids = encode_prompt(tokenizer, messages) + encode_completion(tokenizer, last.reply)
    loaded = load_model(model, torch.float32).eval()
    with torch.inference_mode():
        here = loaded(input_ids=torch.tensor([ids])).logits
        there = loaded.to(device)(input_ids=torch.tensor([ids], device=device)).logits.cpu()
    return {
        "tokens": len(ids),
        "largest_difference_of_logits": float((here - there).abs().max()),
        "largest_logit": float(here.abs().max()),
    }
