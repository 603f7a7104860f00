"""What is true at one moment: relations with an index on each argument position that is asked for."""

from collections.abc import Collection, Iterable, Mapping

Row = tuple[str, ...]


class Relation:
    """The facts of one predicate, as tuples of object names."""

    __slots__ = ("_indexes", "rows")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = set(rows)
        self._indexes: dict[int, dict[str, set[Row]]] = {}

    def __contains__(self, row: Row) -> bool:
        return row in self.rows

    def index(self, position: int) -> Mapping[str, Collection[Row]]:
        """Rows by their argument at `position`; made when first asked for, then kept up to date."""
        index = self._indexes.get(position)
        if index is None:
            index = self._indexes[position] = {}
            for row in self.rows:
                index.setdefault(row[position], set()).add(row)
        return index

    def add(self, row: Row) -> None:
        """Make a fact true."""
        if row not in self.rows:
            self.rows.add(row)
            for position, index in self._indexes.items():
                index.setdefault(row[position], set()).add(row)

    def discard(self, row: Row) -> None:
        """Make a fact false."""
        if row in self.rows:
            self.rows.remove(row)
            for position, index in self._indexes.items():
                index[row[position]].remove(row)

    def copy(self) -> "Relation":
        """An independent relation with the same rows."""
        return Relation(self.rows)


State = dict[str, Relation]
"""Relations by predicate. `not_<predicate>` holds what an action made false: a grammar may ask for it."""
