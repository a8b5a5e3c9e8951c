"""Links of the project's documents, moved to where the documents stand in the site."""

import html
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from riskmap.project.choices import unknown

GLOSSARY = PurePosixPath("docs/glossary.md")
_FENCE = r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^(?P=fence)[ \t]*$"
_LINK = r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)"
_CODE = r"(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)"
# code first where it begins first: what is no link there stays as it is
_PATTERN = re.compile(f"{_FENCE}|{_LINK}|{_CODE}", re.MULTILINE | re.DOTALL)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#", re.IGNORECASE)


def slug(term: str) -> str:
    """Return the anchor by which documents link to a term of the glossary.

    >>> slug("Transfer risk map"), slug("p value"), slug("T1ce")
    ('transfer-risk-map', 'p-value', 't1ce')
    """
    return re.sub(r"[^a-z0-9]+", "-", term.lower()).strip("-")


def terms_of(glossary: str) -> dict[str, str]:
    """Return the terms of a Markdown text with ``{glossary}`` lists, by their anchors.

    A term is a line that begins at the margin; what it means stands indented below it.
    """
    lists = re.findall(r"^```\{glossary\}\n(.*?)^```", glossary, re.MULTILINE | re.DOTALL)
    terms = [line.strip() for text in lists for line in text.splitlines() if re.match(r"[^\s:]", line)]
    return {slug(term): term for term in terms}


@dataclass
class Links:
    """Where each document stands in the site, and what a link to it becomes.

    Args:
        root: the folder in which the documents link to one another.
        pages: for each document, by its path below ``root``, its path in the site's source.
        terms: those of the glossary, by their anchors.
        html: the folder of the finished site.
        files: what is linked to and is no document; filled on the way. The site carries a copy, at the same path.
    """

    root: Path
    pages: Mapping[PurePosixPath, PurePosixPath]
    terms: Mapping[str, str]
    html: Path
    files: set[PurePosixPath] = field(default_factory=set)

    def in_markdown(self, text: str, origin: PurePosixPath, *, is_output: bool = False) -> str:
        """Return Markdown with its links moved; code is left as it is.

        A link to a term of the glossary becomes one to its entry, one to a document that the site does not carry, or to
        a folder, plain text, one to any other file a download.

        Args:
            text: Markdown.
            origin: the path of its document below ``root``.
            is_output: whether a cell shows it; Sphinx then takes links as they are.

        Raises:
            ValueError: a link leads nowhere.
        """

        def moved(found: re.Match[str]) -> str:
            return self._moved(found, origin, is_output) if found["target"] else found[0]

        return _PATTERN.sub(moved, text)

    def in_html(self, text: str, origin: PurePosixPath) -> str:
        """Return the HTML of an output with its links moved: to pages of the site, or to files where they lie."""
        folder = self.html / self.pages[origin].parent

        def moved(found: re.Match[str]) -> str:
            path = _normal(origin, html.unescape(found[1]))
            if path in self.pages:
                place = _relative(self.pages[path], self.pages[origin]).with_suffix(".html")
            elif (self.root / path).is_file():
                place = PurePosixPath(Path(os.path.relpath(self.root / path, folder)).as_posix())
            else:
                return found[0]
            return f'href="{html.escape(str(place))}"'

        return re.sub(r'href="([^":#]+)"', moved, text)

    def _moved(self, found: re.Match[str], origin: PurePosixPath, is_output: bool) -> str:
        text, target = found["text"], found["target"]
        if _ELSEWHERE.match(target):
            return found[0]
        name, _, fragment = target.partition("#")
        path, here = _normal(origin, unquote(name)), self.pages[origin]
        is_term = path == GLOSSARY and fragment
        if is_term:
            fragment = self._term(fragment, origin)
            if not is_output:
                # a role holds plain words on one line
                return f"{{term}}`{' '.join(re.sub('[`*]', '', text).split())} <{fragment}>`"
            fragment = _anchor_of(fragment)
        if path in self.pages:
            there = _relative(self.pages[path], here)
            to = f"{there.with_suffix('.html') if is_output else there}{'#' if fragment else ''}{fragment}"
            return f"{found['image']}[{text}]({to})"
        place = self.root / path
        if not place.exists():
            raise ValueError(f"{origin}: the link [{text}]({target}) leads nowhere")
        if place.is_dir() or path.suffix in (".md", ".ipynb"):
            return text
        self.files.add(path)
        return f"{found['image']}[{text}]({_relative(path, here)})"

    def _term(self, fragment: str, origin: PurePosixPath) -> str:
        if fragment not in self.terms:
            raise ValueError(unknown(f"{origin}: no term {fragment!r} in {GLOSSARY}", sorted(self.terms), fragment))
        return self.terms[fragment]


def _anchor_of(term: str) -> str:
    """Return the id that Sphinx gives to the entry of a term."""
    return "term-" + re.sub(r"[^a-zA-Z0-9._]+", "-", term).strip("-")


def _normal(origin: PurePosixPath, target: str) -> PurePosixPath:
    """Return the path below the root of a target that starts from the folder of a document."""
    return PurePosixPath(Path(os.path.normpath(origin.parent / target)).as_posix())


def _relative(path: PurePosixPath, origin: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(Path(os.path.relpath(path, origin.parent)).as_posix())
