"""How tests read a page: its elements, and what is not as it should be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"})

ADDRESSES = ("href", "src", "action", "data-row", "data-live", "data-home")
"""Attributes that hold the address of something."""


@dataclass(frozen=True)
class Element:
    """An element with its attributes, the text in it, and the elements around it."""

    tag: str
    attributes: dict[str, str]
    around: tuple[str, ...]
    form: Element | None = None
    texts: list[str] = field(default_factory=list)

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")


class Page(HTMLParser):
    """A page that was read; `faults` says what is not well-formed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.faults: list[str] = []
        self.text = ""
        self._open: list[Element] = []
        if not text.startswith("<!doctype html>"):
            self.faults.append("it does not begin with a doctype")
        self.feed(text)
        self.close()
        self.faults += [f"<{one.tag}> stays open" for one in self._open]
        twice = [name for name, count in Counter(one.get("id") for one in self.elements).items() if name and count > 1]
        self.faults += [f"the id {name} is there twice" for name in twice]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.faults.append(f"<{tag}> has an attribute twice: {names}")
        form = next((one for one in reversed(self._open) if one.tag == "form"), None)
        if tag == "form" and form is not None:
            self.faults.append("a form stands in a form")
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(e.tag for e in self._open), form)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.faults.append(f"</{tag}> ends nothing at {self.getpos()}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        for one in self._open:
            one.texts.append(data)

    def all(self, *tags: str) -> list[Element]:
        return [one for one in self.elements if one.tag in tags]

    @property
    def ids(self) -> set[str]:
        return {one.get("id") for one in self.elements if one.get("id")}

    @property
    def links(self) -> list[str]:
        """Every address that it has, but those to which its forms send."""
        found = [(one, name, one.get(name)) for one in self.elements for name in ADDRESSES if name in one.attributes]
        return [address for one, name, address in found if name != "action" or one.get("method") != "post"]

    @property
    def actions(self) -> list[str]:
        """Where its forms send."""
        return [one.get("action") for one in self.all("form") if one.get("method") == "post"]

    @property
    def unlabelled(self) -> list[Element]:
        """Fields without a label."""
        named = {one.get("for") for one in self.all("label")}
        fields = [one for one in self.all("input", "select", "textarea") if one.get("type") not in ("hidden", "submit")]
        buttons = [
            one for one in self.all("button", "a") if not "".join(one.texts).strip() and not one.get("aria-label")
        ]
        return [one for one in fields if not (one.get("id") in named or one.get("aria-label"))] + buttons

    def said(self, role: str = "status") -> str:
        """What it says about what was done."""
        return " ".join("".join(one.texts) for one in self.elements if one.get("role") == role and one.tag == "p")
