"""When to stop paying: a model whose first replies are all of no use will hardly do better."""

from dataclasses import dataclass

from leap_core.errors import StageFailedError


@dataclass(kw_only=True)
class Patience:
    """Ends a stage in which nothing of the `limit` items that began first (`noun`, in the plural) could be used.

    Those that began first, not those that ended first: refusals come sooner than answers, and would be all that is seen
    of a model that refuses now and then. One use is enough to go on; the shares that a stage allows are for its end.
    """

    limit: int
    noun: str
    num_begun: int = 0
    num_useless: int = 0

    def begin(self) -> bool:
        """Count an item that begins; returns whether it is one of the first, whose end is to be noted by `note`."""
        self.num_begun += 1
        return self.num_begun <= self.limit

    def note(self, *, is_useful: bool, why: str, spent: str) -> None:
        """Count the end of one of the first: `why` it is of no use, and what was `spent` on all so far.

        Raises:
            StageFailedError: it was the last of them, and none was of use.
        """
        self.num_useless += not is_useful
        if self.num_useless == self.limit:
            raise StageFailedError(
                f"Nothing that came for the first {self.limit} {self.noun} could be used, so no more are paid for; "
                f"{spent} so far in this run. The last cause: {why}. Look at the model, its limits and its prompts, "
                "then run the same command again: what was paid for is kept."
            )
