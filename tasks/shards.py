"""Long work inside a stage, in shards: each is published by rename when it is whole, so a crash loses at most one."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(kw_only=True)
class Shards(Generic[R]):
    """Shards of results below `scratch`. `write` and `read` store a list of results in a directory.

    `tag` names everything beside the items that shards depend on; shards of another tag are not reused. A shard of an
    earlier attempt with a result that `failed` is done again: its cause may be gone.
    """

    scratch: Path
    size: int
    tag: str
    write: Callable[[Path, Sequence[R]], object]
    read: Callable[[Path], list[R]]
    failed: Callable[[R], bool] = lambda result: False
    num_resumed: int = 0

    def map(
        self,
        work: Callable[[Sequence[T]], Sequence[R]],
        items: Sequence[T],
        on_done: Callable[[int], object] = lambda num_done: None,
    ) -> list[R]:
        """Do `work` on each run of `size` items, in order; what an earlier attempt finished is read instead.

        `on_done` is called after each shard with the number of items done.
        """
        results: list[R] = []
        for start in range(0, len(items), self.size):
            shard = self.scratch / f"shard-{start:06d}-of-{self.size}-{self.tag}"
            finished = self._finished(shard)
            if finished is None:
                finished = self._make(shard, work, items[start : start + self.size])
            results += finished
            on_done(len(results))
        return results

    def _finished(self, shard: Path) -> list[R] | None:
        """The results of an earlier attempt's shard; None where it is not whole, or holds a failure."""
        if not shard.is_dir():
            return None
        results = self.read(shard)
        if any(self.failed(result) for result in results):
            return None
        self.num_resumed += 1
        return results

    def _make(self, shard: Path, work: Callable[[Sequence[T]], Sequence[R]], items: Sequence[T]) -> list[R]:
        """Do the work and publish it; what is returned was read back, as a resumed run would read it."""
        unfinished = shard.with_name(f".{shard.name}")
        if shard.is_dir():  # what it holds failed; its leftovers serve the new attempt
            shutil.rmtree(unfinished, ignore_errors=True)
            shard.rename(unfinished)
        unfinished.mkdir(parents=True, exist_ok=True)
        self.write(unfinished, work(items))
        unfinished.rename(shard)
        return self.read(shard)
