"""Executed notebooks as HTML pages that work without a network: no scripts, formulas and figures inside the file."""

import html
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from riskmap.project.files import atomic_path, read_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun.formulas import formula_to_html

WIDGET = "application/vnd.jupyter.widget-view+json"
# kernels run here, wherever the executed copy is written
_NOTEBOOKS = PROJECT_ROOT / "notebooks"
STYLE = """
body.jp-Notebook { background: #f6f6f4; padding: 0; font-size: 15px; overflow: auto; }
main, nav.pages, ul.contents, h1.contents { max-width: 1000px; margin: 0 auto;
  background: #fff; box-sizing: border-box; }
main { padding: 12px 28px 28px; }
nav.pages { display: flex; justify-content: space-between; gap: 16px; padding: 12px 40px;
  font-family: system-ui, sans-serif; font-size: 14px; border-bottom: 1px solid #ddd; }
main + nav.pages { border-top: 1px solid #ddd; border-bottom: 0; }
nav.pages a, ul.contents a { color: #0b5394; text-decoration: none; }
nav.pages a:hover, ul.contents a:hover { text-decoration: underline; }
nav.pages span { flex: 1; } nav.pages span:nth-child(2) { text-align: center; flex: 0 1 auto; }
nav.pages span:last-child { text-align: right; }
.jp-RenderedHTMLCommon { line-height: 1.55; }
.jp-RenderedHTMLCommon h1 { margin-top: 0.4em; }
.jp-Cell { padding: 3px 0; }
.jp-InputPrompt, .jp-OutputPrompt { flex: 0 0 44px; font-size: 10px; opacity: 0.55; }
.jp-MarkdownCell .jp-InputPrompt { display: none; }
.jp-OutputArea-output img { max-width: 100%; height: auto; }
.jp-OutputArea-output table { font-size: 13px; }
.jp-OutputArea-output table td { white-space: nowrap; }
.jp-OutputArea-output .highlight pre { font-family: monospace; font-size: 13px; line-height: 1.35; }
img.formula { margin: 0; max-width: 100%; display: inline; }
.formula-block { text-align: center; margin: 0.9em 0; overflow-x: auto; }
code.formula { color: #7a3e00; }
h1.contents { padding: 28px 40px 0; font-family: system-ui, sans-serif; }
ul.contents { padding: 12px 40px 40px 60px; font-family: system-ui, sans-serif; line-height: 2; min-height: 60vh; }
ul.contents .minutes { color: #666; font-size: 13px; margin-left: 8px; }
"""
# nbconvert's own page, without the blocks that load scripts from elsewhere, and with the alternative texts of
# pictures, which nbconvert reads from nowhere
TEMPLATE = """
{%- extends 'index.html.j2' -%}
{% block html_head_js %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}<style>{{ resources.page_style }}</style>{% endblock %}
{% block body_header %}
<body class="jp-Notebook" data-jp-theme-light="true" data-jp-theme-name="JupyterLab Light">
{{ resources.page_navigation }}
<main>
{% endblock %}
{% block body_footer %}</main>
{{ resources.page_navigation }}
</body>{% endblock %}
{% macro picture(output, kind) %}
<div class="jp-RenderedImage jp-OutputArea-output" tabindex="0">
<img src="data:{{ kind }};base64,{{ output.data[kind] | escape_html }}"
alt="{{ output | get_metadata('alt', kind) | escape_html }}"
{%- for key in ('width', 'height') if output | get_metadata(key, kind) is not none %}
{{ key }}="{{ output | get_metadata(key, kind) | escape_html }}"
{%- endfor %}>
</div>
{% endmacro %}
{% block data_png scoped %}{{ picture(output, 'image/png') }}{% endblock %}
{% block data_jpg scoped %}{{ picture(output, 'image/jpeg') }}{% endblock %}
"""


@dataclass(frozen=True)
class Page:
    """One entry of the contents: a page's file name, its title and how long its notebook ran (or None)."""

    file: str
    title: str
    seconds: float | None = None


class FormulaRenderer(IPythonRenderer):
    """Markdown to HTML with formulas as pictures; a formula that cannot be set stays readable as TeX."""

    def inline_math(self, body: str) -> str:
        """Render ``$...$``."""
        return _formula(body, block=False)

    def block_math(self, body: str) -> str:
        """Render ``$$...$$``."""
        return _formula(body, block=True)


class OfflineExporter(HTMLExporter):
    """nbconvert's HTML exporter with formulas as pictures."""

    def markdown2html(self, context: Any, source: str) -> str:
        """Turn Markdown into HTML (nbconvert's filter of this name)."""
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = FormulaRenderer(escape=False, attachments=attachments, embed_images=True, path="")
        return MarkdownWithMath(renderer=renderer).render(source)

    markdown2html.__dict__.update(HTMLExporter.markdown2html.__dict__)  # keeps jinja's pass-the-context mark


def title_of(notebook: NotebookNode, default: str) -> str:
    """Return the text of a notebook's first H1, or ``default``."""
    for cell in notebook.cells:
        found = re.search(r"^# +(.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return _plain(found.group(1))
    return default


def export_html(notebook: Path, page: Path, previous: Page | None = None, following: Page | None = None) -> Page:
    """Write an executed notebook as one HTML file that needs no network, and return its entry for the contents.

    Widgets are left out (each leaves a plain picture beside it), every picture has an alternative text, and
    the page carries links to its neighbours and to ``index.html``.
    """
    notebook, page = Path(notebook), Path(page)
    content = nbformat.read(notebook, as_version=4)
    _strip_widgets(content)
    _move_links(content, page.parent)
    _add_alternative_texts(content)
    title = title_of(content, notebook.stem)
    content.metadata["title"] = title
    exporter = OfflineExporter(raw_template=TEMPLATE, template_name="lab")
    navigation = navigation_bar(previous, following)
    text, _ = exporter.from_notebook_node(
        content,
        resources={"page_style": STYLE, "page_navigation": navigation, "metadata": {"path": str(notebook.parent)}},
    )
    _write(page, text)
    record = notebook.with_name(notebook.name + ".json")
    seconds = read_json(record)["duration_seconds"] if record.is_file() else None
    return Page(page.name, title, seconds)


def export_all(notebooks: Sequence[Path], folder: Path) -> Path:
    """Write a page per executed notebook and the contents, and return the path of ``index.html``."""
    titles = [Page(f"{n.stem}.html", title_of(nbformat.read(n, as_version=4), n.stem)) for n in notebooks]
    pages = [
        export_html(
            notebook,
            folder / titles[i].file,
            titles[i - 1] if i else None,
            titles[i + 1] if i + 1 < len(titles) else None,
        )
        for i, notebook in enumerate(notebooks)
    ]
    return write_index(pages, folder / "index.html")


def write_index(pages: Sequence[Page], index: Path) -> Path:
    """Write the list of pages with their titles and the minutes that each notebook ran."""
    lines = [
        f'<li><a href="{html.escape(page.file)}">{html.escape(page.title)}</a>{_minutes(page.seconds)}</li>'
        for page in pages
    ]
    _write(
        index,
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>riskmap: contents</title><style>body {{ margin: 0; }}{STYLE}</style></head>\n"
        '<body class="jp-Notebook"><h1 class="contents">Transfer risk maps</h1>\n<ul class="contents">\n'
        + "\n".join(lines)
        + "\n</ul></body></html>\n",
    )
    return index


def navigation_bar(previous: Page | None, following: Page | None) -> str:
    """Return the links to the page before, the contents and the page after."""

    def link(page: Page | None, text: str) -> str:
        return f'<a href="{html.escape(page.file)}">{text.format(html.escape(page.title))}</a>' if page else ""

    return (
        f'<nav class="pages"><span>{link(previous, "← {}")}</span>'
        f'<span><a href="index.html">Contents</a></span><span>{link(following, "{} →")}</span></nav>'
    )


def _plain(heading: str) -> str:
    """Take the Markdown marks out of a heading."""
    return re.sub(r"[`*]", "", heading).strip()


def _formula(tex: str, block: bool) -> str:
    try:
        return formula_to_html(tex, block)
    except ValueError:
        # the reader still sees the formula; the notebook rules report it to the author
        return f'<code class="formula">{html.escape(tex.strip())}</code>'


def _strip_widgets(notebook: NotebookNode) -> None:
    """Drop widgets, and keep the plain picture that an explorer carries beside its live one.

    Without their scripts widgets would show as nothing, or as text like ``IntSlider(value=0)``.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in list(cell.get("outputs", [])):
            if WIDGET not in output.get("data", {}):
                continue
            if "image/png" in output.data:
                del output.data[WIDGET]
            else:
                cell.outputs.remove(output)


def _move_links(notebook: NotebookNode, folder: Path) -> None:
    """Make links in outputs, which start from the notebooks' folder, start from the folder of the page."""

    def moved(found: re.Match[str]) -> str:
        target = _NOTEBOOKS / html.unescape(found[1])
        if not target.is_file():
            return found[0]
        return f'href="{html.escape(Path(os.path.relpath(target, folder)).as_posix())}"'

    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = re.sub(r'href="([^":#]+)"', moved, output.data["text/html"])


def _add_alternative_texts(notebook: NotebookNode) -> None:
    """Give each picture that has no alternative text of its own one that says where it stands."""
    heading, number = "", 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            headings = [_plain(found) for found in re.findall(r"^#+ +(.+)$", cell.source, re.MULTILINE)]
            heading = headings[-1] if headings else heading
            continue
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/jpeg"):
                if kind in output.get("data", {}):
                    number += 1
                    described: Mapping[str, Any] = output.metadata.get(kind, {})
                    text = described.get("alt", f"Figure {number}, in the section “{heading}”")
                    output.metadata[kind] = {**described, "alt": text}


def _minutes(seconds: float | None) -> str:
    if seconds is None:
        return ""
    text = f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
    return f'<span class="minutes">ran {text}</span>'


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
