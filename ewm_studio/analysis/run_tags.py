"""Tags of a run: the words of its note that begin with '#', so that they travel with it and are found in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_TAG = re.compile(r"(?<!\S)#([\w.-]+)")


def tags_of(note: str) -> tuple[str, ...]:
    """The tags of a note, each once."""
    return tuple(dict.fromkeys(_TAG.findall(note)))


def words_without(note: str) -> str:
    """A note without its tags."""
    return " ".join(_TAG.sub("", note).split())


def with_tags(note: str, tags: Iterable[str]) -> str:
    """A note with these tags in place of its own, at its end."""
    marks = [f"#{tag}" for tag in dict.fromkeys(tag.lstrip("#") for tag in tags) if tag]
    return " ".join([*filter(None, [words_without(note)]), *marks])


def retagged(note: str, text: str) -> str:
    """A note after someone wrote into the field of tags: "a b" adds two, "-a" takes one away."""
    tags = list(tags_of(note))
    for word in text.replace(",", " ").split():
        tag = word.lstrip("-+#")
        if word.startswith("-"):
            tags = [other for other in tags if other != tag]
        elif tag not in tags:
            tags.append(tag)
    return with_tags(note, tags)
