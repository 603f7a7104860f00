"""Counts that a stage reports, as records: what a record on disk does not know is an error, not a new kind of count."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, NonNegativeInt, ValidationError

from leap_core.errors import ArtifactError
from leap_core.types import Record


@dataclass(frozen=True)
class Each:
    """Marks a field of counts by kind; in `record.json` each kind is a count of its own, named by `pattern`."""

    pattern: str

    def kind_in(self, name: str) -> str | None:
        """The kind that a count's name stands for; None where it is no count of this field."""
        start, _, end = self.pattern.partition("{}")
        is_one = name.startswith(start) and name.endswith(end) and len(name) > len(start) + len(end)
        return name[len(start) : len(name) - len(end)] if is_one else None


Count = NonNegativeInt
ByKind = Annotated[dict[str, NonNegativeInt], Field(default_factory=dict)]


class Counts(Record):
    """Base of a stage's counts. A field with a default is written only where it is another value."""

    def flat(self) -> dict[str, int]:
        """The counts as `record.json` holds them: one number a name."""
        return dict(self._flat())

    @classmethod
    def read(cls, counts: Mapping[str, int], artifact: str = "a record") -> Self:
        """Read what `flat` wrote; `artifact` names it in errors.

        Raises:
            ArtifactError: a count is missing, or none that this stage has.
        """
        values: dict[str, Any] = {}
        for name, count in counts.items():
            field, kind = next(cls._kinds_of(name), (name, None))
            if kind is None:
                values[field] = count
            else:
                values.setdefault(field, {})[kind] = count
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ArtifactError(
                f"The counts of {artifact}, {dict(counts)}, are not those of {cls.__name__}: they were written by "
                "another version. Run `leap run` with that version, or delete the artifact to have it made again.",
                item=artifact,
            ) from error

    def _flat(self) -> Iterator[tuple[str, int]]:
        for name, field in type(self).model_fields.items():
            value, each = getattr(self, name), _each(field.metadata)
            if each is not None:
                yield from ((each.pattern.format(kind), count) for kind, count in value.items())
            elif field.is_required() or value != field.default:
                yield name, value

    @classmethod
    def _kinds_of(cls, name: str) -> Iterator[tuple[str, str | None]]:
        if name in cls.model_fields:
            yield name, None
        for field, info in cls.model_fields.items():
            each = _each(info.metadata)
            kind = None if each is None else each.kind_in(name)
            if kind is not None:
                yield field, kind


def _each(metadata: list[Any]) -> Each | None:
    return next((one for one in metadata if isinstance(one, Each)), None)
