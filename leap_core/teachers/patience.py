"""When to stop paying: a model whose first replies are all of no use will hardly do better."""

from dataclasses import dataclass

from leap_core.errors import StageFailedError


@dataclass(kw_only=True)
class Patience:
    """Ends a stage in which nothing of the first `limit` items (`noun`, in the plural) could be used.

    One use is enough to go on; the shares that a stage allows are for its end.
    """

    limit: int
    noun: str
    num_useless: int = 0
    has_hope: bool = False

    def note(self, *, is_useful: bool, why: str, spent: str) -> None:
        """Take note of one item: `why` it is of no use, and what was `spent` on all so far.

        Raises:
            StageFailedError: the limit is reached.
        """
        self.has_hope = self.has_hope or is_useful
        self.num_useless += not is_useful
        if not self.has_hope and self.num_useless >= self.limit:
            raise StageFailedError(
                f"Nothing that came for the first {self.num_useless} {self.noun} could be used, so no more are paid "
                f"for; {spent} so far in this run. The last cause: {why}. Look at the model, its limits and its "
                "prompts, then run the same command again: what was paid for is kept."
            )
