"""The smallest of environments, for the tests of all that plays one."""

from leap_core.envs.base import StepResult
from leap_core.types import Observation, Spec

ADMISSIBLE = ("left", "right")


class Corridor:
    """Won after so many steps to the right; all it tells is where one stands and what was tried last."""

    def reset(self, spec):
        if spec.instruction == "locked":
            raise ValueError("no way in")
        self.spec, self.place = spec, 0
        return Observation(text=f"{spec.id}: place 0.", admissible=ADMISSIBLE)

    def step(self, command):
        if command == "dig":
            raise RuntimeError("the roof came down")
        if command == "jump":
            return self.result(command, terminated=True)
        self.place += {"left": -1, "right": 1}.get(command, 0)
        return self.result(command, terminated=self.place == self.spec.params["length"])

    def result(self, command, terminated):
        won = self.place == self.spec.params["length"]
        text = f"{self.spec.id}: place {self.place} after {command!r}."
        return StepResult(
            observation=Observation(text=text, admissible=ADMISSIBLE),
            terminated=terminated,
            score=max(self.place, 0) / self.spec.params["length"],
            success=won,
            valid=command in (*ADMISSIBLE, "jump"),
        )

    def close(self):
        """Nothing is held."""


def corridors(**lengths):
    return [
        Spec(id=id, env="alfworld", split="train", instruction="out", params={"length": n}) for id, n in lengths.items()
    ]
