"""How Sphinx builds the slides; ``python -m riskmap slides`` calls it on a copy of this folder, with its figures."""

import json
from pathlib import Path

project = "riskmap"
language = "en"
extensions = ["myst_parser", "sphinx_revealjs", "riskmap.rerun.site_math"]
myst_enable_extensions = ["dollarmath", "substitution", "attrs_inline", "colon_fence"]
# what is made from the records; a name that is not there fails the build
myst_substitutions = json.loads(Path(__file__).with_name("texts.json").read_text(encoding="utf-8"))
html_math_renderer = "mathml"

# a theme whose letters come with it
revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "white"
revealjs_static_path = ["_static"]
revealjs_css_files = ["slides.css"]
revealjs_notes_from_comments = True
revealjs_use_section_ids = True
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.03,
    "hash": True,
    # the arrow keys do it; arrows on the slide would lie on its text
    "controls": False,
    "slideNumber": "c/t",
    "center": False,
    "transition": "none",
}
revealjs_script_plugins = [{"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"}]
