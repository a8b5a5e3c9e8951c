"""TeX formulas as MathML, which every browser of today sets by itself: no scripts, no fonts, no network.

It is a Sphinx extension as well: ``docs/conf.py`` names it, and its renderer sets all formulas of the site.
"""

import re
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert

RENDERER = "mathml"
_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
# how many parts each of these has; the converter lets a formula with fewer pass
_PARTS = {
    "mfrac": 2,
    "mroot": 2,
    **dict.fromkeys(("msub", "msup", "mover", "munder"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
# a function and what it is of stand apart, unless a parenthesis does it
_FUNCTION = re.compile(r"(<mi>(?:log|ln|exp)</mi>)(?!<mo[^>]*>&#x00028;|</)")
_TEXTS = ("mi", "mn", "mo", "mtext")


@lru_cache(maxsize=512)
def formula_to_mathml(tex: str, block: bool = False) -> str:
    r"""Return the ``math`` element of a formula.

    Args:
        tex: without dollar signs.
        block: whether it stands alone, on a line of its own.

    Raises:
        ValueError: it cannot be converted as it stands; the message names the formula.

    >>> "<mfrac>" in formula_to_mathml(r"\frac{1}{n}")
    True
    >>> formula_to_mathml(r"\nosuchcommand{x}")
    Traceback (most recent call last):
    ValueError: the formula $\nosuchcommand{x}$ cannot be set: \nosuchcommand is not known
    """
    source = " ".join(tex.split())
    problem = _braces(source)
    if problem:
        raise _refused(source, problem)
    try:
        mathml = convert(source, display="block" if block else "inline")
    except Exception as error:  # the converter's own errors have no base in common
        raise _refused(source, str(error) or type(error).__name__) from error
    root = ElementTree.fromstring(mathml)
    for element in root.iter():
        name = element.tag.removeprefix(_NAMESPACE)
        if name in _TEXTS and "\\" in (element.text or ""):
            raise _refused(source, f"{element.text} is not known")
        if len(element) != _PARTS.get(name, len(element)):
            raise _refused(source, f"a part of {name} is missing")
    mathml = _FUNCTION.sub(r"\1<mspace width='0.17em'/>", mathml)
    return mathml.replace("<math ", f'<math alttext="{_escaped(source)}" ', 1)


def _braces(tex: str) -> str:
    """Say what is wrong with the braces of a formula, nothing when they match."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", tex):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return "a } closes nothing"
    return "a { is left open" if depth else ""


def _refused(source: str, why: str) -> ValueError:
    return ValueError(f"the formula ${source}$ cannot be set: {why}")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def setup(app: Any) -> dict[str, bool]:
    """Register the renderer with Sphinx."""
    app.add_html_math_renderer(RENDERER, (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _visit_inline(translator: Any, node: Any) -> None:
    translator.body.append(_shown(node, block=False))
    _skip()


def _visit_block(translator: Any, node: Any) -> None:
    translator.body.append(f'<div class="math-block">{_shown(node, block=True)}</div>\n')
    _skip()


def _shown(node: Any, block: bool) -> str:
    """Return a formula's MathML; of one that cannot be set its TeX, and a warning, which fails the build."""
    from sphinx.util.logging import getLogger

    try:
        return formula_to_mathml(node.astext(), block)
    except ValueError as error:
        getLogger(__name__).warning("%s", error, location=node)
        return f"<code>{_escaped(node.astext())}</code>"


def _skip() -> None:
    """Leave out the node's text: its MathML stands for it."""
    from docutils.nodes import SkipNode

    raise SkipNode
