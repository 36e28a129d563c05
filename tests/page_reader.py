"""Reads an HTML page with the standard library alone: what the tests compare reports with."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Table:
    """Caption, and cells row by row."""

    caption: str = ""
    rows: list[list[str]] = field(default_factory=list)

    def column(self, number: int) -> dict[str, str]:
        """First cell of each row but the head -> another cell of it."""
        return {row[0]: row[number] for row in self.rows[1:]}


@dataclass
class Drawing:
    """An SVG: its spoken words, attributes of its shapes, and its texts with their places."""

    spoken: str
    shapes: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[tuple[dict[str, str], str]] = field(default_factory=list)

    def scale(self, axis: str, end: str) -> tuple[float, float]:
        """Place of 0, and places per unit, from the ticks of an axis.

        Args:
            axis: "x" or "y".
            end: class of the ticks.
        """
        ticks = [
            (float(text.replace(",", "")), float(attributes[axis]) - (4 if axis == "y" else 0))
            for attributes, text in self.texts
            if attributes.get("class") == f"tick {end}"
        ]
        (low, start), (high, stop) = ticks[0], ticks[-1]
        assert low == 0
        return start, (stop - start) / high

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.shapes if name == tag]


class Page(HTMLParser):
    """Every element in order, tables, drawings, and the text of elements with an id or class."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: list[Table] = []
        self.drawings: list[Drawing] = []
        self.headings: list[tuple[int, str]] = []
        self.texts: list[str] = []
        self.unclosed: list[str] = []
        self._stack: list[str] = []
        self.feed(text)
        self.close()
        self.unclosed += self._stack

    def table(self, start: str) -> Table:
        (found,) = [table for table in self.tables if table.caption.startswith(start)]
        return found

    def drawing(self, start: str) -> Drawing:
        (found,) = [drawing for drawing in self.drawings if drawing.spoken.startswith(start)]
        return found

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag not in VOID:
            self._stack.append(tag)
        if tag == "table":
            self.tables.append(Table())
        elif tag == "tr":
            self.tables[-1].rows.append([])
        elif tag in ("td", "th"):
            self.tables[-1].rows[-1].append("")
        elif tag == "svg":
            self.drawings.append(Drawing(attributes.get("aria-label", "")))
        elif tag == "text":
            self.drawings[-1].texts.append((attributes, ""))
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append((int(tag[1]), ""))
        if "svg" in self._stack:
            self.drawings[-1].shapes.append((tag, attributes))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._stack.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._stack or self._stack[-1] != tag:
            self.unclosed.append(f"{tag} closes {self._stack[-1:]}")
            return
        self._stack.pop()

    def handle_data(self, data: str) -> None:
        inside = self._stack[-1] if self._stack else ""
        if inside == "style":
            return
        self.texts.append(data)
        if "td" in self._stack or "th" in self._stack:
            self.tables[-1].rows[-1][-1] += data
        elif inside == "caption":
            self.tables[-1].caption += data
        elif inside == "text":
            attributes, before = self.drawings[-1].texts[-1]
            self.drawings[-1].texts[-1] = (attributes, before + data)
        elif inside in ("h1", "h2", "h3", "h4"):
            level, before = self.headings[-1]
            self.headings[-1] = (level, before + data)
