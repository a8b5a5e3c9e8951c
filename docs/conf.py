"""How Sphinx builds the site; ``python -m riskmap site`` calls it on a copy of this folder with the pages beside it."""

import re
from typing import Any

project = "riskmap"
html_title = "riskmap"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "riskmap.rerun.site_math",
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["_build", "jupyter_execute", "**/.ipynb_checkpoints"]

# the pages are executed already, and nothing comes from elsewhere
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_output_stderr = "remove"
nb_render_markdown_format = "gfm"
nb_number_source_lines = False
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

napoleon_custom_sections = ["Shape"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
add_module_names = False

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
# a page on disk may not read another one
html_show_search_summary = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_persistent": [],
    "footer_content_items": [],
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_source_button": False,
    "use_edit_page_button": False,
    "use_repository_button": False,
    "use_issues_button": False,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def _escape_shapes(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Let ``[B, K, *spatial]`` in a docstring be a shape, and no beginning of italics."""
    lines[:] = [line.replace("*spatial", "\\*spatial") for line in lines]


# "+1.7 [+0.9, +2.6]", "2 of 6", "< 0.001", "0.727 ± 0.006", "–"
_NUMBER = re.compile(r"[-+–<]?[\s\d.,\[\]+–±%p<-]*|\d+ of \d+")


def _mark_numbers(app: Any, document: Any) -> None:
    """Give the cells of tables that hold nothing but numbers a class: such a text is not broken."""
    from docutils.nodes import entry

    for cell in document.findall(entry):
        if _NUMBER.fullmatch(cell.astext()):
            cell["classes"].append("number")


def setup(app: Any) -> None:
    """Register what is our own."""
    app.connect("doctree-read", _mark_numbers)
    app.connect("autodoc-process-docstring", _escape_shapes)
