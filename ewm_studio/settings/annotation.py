"""What the annotation of a declared setting says: its types, its words, whether it may be empty, its range."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Bound:
    """One end of a range; an `open` one does not belong to the range itself."""

    value: float
    open: bool


@dataclass(frozen=True)
class Shape:
    """The values that an annotation allows."""

    types: frozenset[Any]  # without None
    words: tuple[str, ...] = ()  # of its literals
    optional: bool = False  # None is allowed
    low: Bound | None = None
    high: Bound | None = None


def shape_of(info: FieldInfo) -> Shape:
    """Read a field's annotation and its constraints, also inside a union: `Annotated[int, Field(ge=1)] | None`."""
    types: set[Any] = set()
    words: list[str] = []
    constraints = list(info.metadata)
    for member, own in _members(info.annotation):
        constraints += own
        if get_origin(member) is Literal:
            words += [str(word) for word in get_args(member)]
        else:
            types.add(member)
    optional = NoneType in types
    low, high = _bound(constraints, "ge", "gt"), _bound(constraints, "le", "lt")
    return Shape(frozenset(types - {NoneType}), tuple(words), optional, low, high)


def _members(annotation: Any) -> Iterator[tuple[Any, list[Any]]]:
    """The members of a union, each without its Annotated wrapping, and what that wrapping constrains."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *wrapped = get_args(annotation)
        constraints = [c for each in wrapped for c in (each.metadata if isinstance(each, FieldInfo) else [each])]
        for member, own in _members(inner):
            yield member, [*constraints, *own]
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _members(part)
    else:
        yield annotation, []


def _bound(constraints: list[Any], closed: str, opened: str) -> Bound | None:
    for constraint in constraints:
        for name in (closed, opened):
            value = getattr(constraint, name, None)
            if value is not None:
                return Bound(value, name == opened)
    return None
