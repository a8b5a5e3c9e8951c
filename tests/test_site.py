"""The site: what its source becomes, what is refused, and a small one that Sphinx builds."""

import contextlib
import io
import re
from pathlib import PurePosixPath

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell
from site_folder import execute, make_project, many_outputs, write, write_page

from riskmap.project.paths import DOCS, PROJECT_ROOT
from riskmap.rerun import site
from riskmap.rerun.site import SiteError, build_site, executed_in
from riskmap.rerun.site_links import Links, slug, terms_of
from riskmap.rerun.site_math import formula_to_mathml
from riskmap.rerun.site_notebooks import with_outputs
from riskmap.rerun.site_staging import stage


@pytest.fixture
def project(tmp_path):
    """A small project; returns its folder."""
    return make_project(tmp_path / "project")


@pytest.fixture
def pages(project):
    """Its pages, the first of them executed."""
    first, second = (project / "notebooks" / f"{name}.ipynb" for name in ("00_first", "01_second"))
    return {first: execute(first, project / "build" / "notebooks", {"show()": many_outputs()}), second: None}


@pytest.fixture
def staged(project, pages):
    """The source of its site."""
    write(project / "sweep" / "a b.ipynb", "")
    stage(pages, project / "build" / "source", project / "build" / "html", project)
    return project / "build" / "source"


def markdown_of(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def outputs_of(notebook):
    return [output for cell in nbformat.read(notebook, as_version=4).cells for output in cell.get("outputs", [])]


# ---- links


def test_links_of_a_page_are_moved_to_where_things_stand_in_the_site(staged):
    text = markdown_of(staged / "notebooks" / "00_first.ipynb")
    assert "{term}`Dice <Dice>`" in text
    assert "{term}`the map <Transfer risk map>`" in text
    assert "[The second](01_second.ipynb)" in text
    assert "[a guide](../guides/own.md#a-part)" in text
    assert "[settings](own.yaml)" in text
    assert (staged / "notebooks" / "own.yaml").read_text() == "a: 1\n", "what is no page comes along"
    assert "see code," in text, "a folder is no page: its name stays"
    assert "`[no](link)`" in text


def test_links_of_documents_are_moved(staged):
    assert "![a map](results/map.png)" in (staged / "index.md").read_text()
    assert "[Page 0](notebooks/00_first.ipynb)" in (staged / "index.md").read_text()
    assert "[Page 1](../notebooks/01_second.ipynb)" in (staged / "guides" / "own.md").read_text()
    assert (staged / "results" / "map.png").is_file()


def test_links_of_outputs_lead_to_pages_and_to_files_where_they_lie(staged):
    shown = [output.get("data", {}) for output in outputs_of(staged / "notebooks" / "00_first.ipynb")]
    (html,) = [data["text/html"] for data in shown if "text/html" in data]
    assert 'href="01_second.html"' in html
    assert 'href="../../../sweep/a b.ipynb"' in html, "seen from build/html/notebooks"
    texts = "\n".join(data.get("text/markdown", "") for data in shown)
    assert "[on](01_second.html)" in texts
    assert "[Dice](../glossary.html#term-Dice)" in texts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x](../docs/glossary.md#dicee)", r"no term 'dicee' in docs/glossary\.md; did you mean 'dice'\?"),
        ("[x](nowhere.ipynb)", r"notebooks/02_bad\.ipynb: the link \[x\]\(nowhere\.ipynb\) leads nowhere"),
        ("![x](../results/none.png)", "leads nowhere"),
    ],
)
def test_a_link_that_leads_nowhere_is_refused(text, message, project):
    bad = write_page(project / "notebooks" / "02_bad.ipynb", new_markdown_cell(text))
    with pytest.raises(ValueError, match=message):
        stage({bad: None}, project / "source", project / "html", project)


def test_a_link_to_a_page_that_the_site_does_not_carry_is_plain_text(project, pages):
    """``--notebooks 03`` of a course, or a page that was taken out."""
    first, second = pages
    stage({first: pages[first]}, project / "source", project / "html", project)
    assert "\nThe second, [a guide]" in markdown_of(project / "source" / "notebooks" / "00_first.ipynb")
    assert second.stem not in (project / "source" / "index.md").read_text()


def test_terms_are_those_that_stand_at_the_margin():
    assert terms_of("```{glossary}\nDice\n  Well.\n\np value\n  Small.\n```\nother\n") == {
        "dice": "Dice",
        "p-value": "p value",
    }
    assert slug("L2-SP") == "l2-sp"


def test_every_term_that_the_pages_need_is_in_the_glossary():
    terms = terms_of((DOCS / "glossary.md").read_text(encoding="utf-8"))
    assert {"dice", "leep", "hardness", "shuffled-twin", "churn", "missed", "false-alarm", "holm", "t1ce"} <= set(terms)
    assert len(terms) >= 60


@pytest.mark.parametrize("text", ["shuffled\ntwin", "*shuffled* twin", "`shuffled` twin"])
def test_a_link_to_a_term_may_be_broken_over_lines_or_marked(text, tmp_path):
    here = PurePosixPath("notebooks/a.ipynb")
    links = Links(tmp_path, {here: here}, {"shuffled-twin": "shuffled twin"}, tmp_path / "html")
    moved = links.in_markdown(f"its [{text}](../docs/glossary.md#shuffled-twin).", here)
    assert moved == "its {term}`shuffled twin <shuffled twin>`."


def test_links_of_other_kinds_stay_as_they_are(tmp_path):
    links = Links(tmp_path, {PurePosixPath("docs/a.md"): PurePosixPath("a.md")}, {}, tmp_path / "html")
    text = "[a](https://dask.org) [b](#part) [c](mailto:x@y.z)\n\n```text\n[d](gone.md)\n```\n"
    assert links.in_markdown(text, PurePosixPath("docs/a.md")) == text


# ---- notebooks


def test_widgets_go_and_pictures_say_what_they_show(staged):
    notebook = nbformat.read(staged / "notebooks" / "00_first.ipynb", as_version=4)
    assert "widgets" not in notebook.metadata
    kinds = {kind for output in outputs_of(staged / "notebooks" / "00_first.ipynb") for kind in output.get("data", {})}
    assert kinds == {"text/html", "text/markdown"}, "no widget, no measurements, no stand-in of theirs"
    texts = "\n".join(
        output["data"].get("text/markdown", "")
        for output in outputs_of(staged / "notebooks" / "00_first.ipynb")
        if "data" in output
    )
    assert "![Figure 1, in “The map”](figures/00_first_1.png)" in texts
    assert r"![A \[risk\] map\_of \`x\`](figures/00_first_2.png)" in texts
    assert "![a strip](figures/00_first_3.png)" in texts, "an explorer leaves its plain picture"
    assert (staged / "notebooks" / "figures" / "00_first_3.png").read_bytes().startswith(b"\x89PNG")


def test_parameters_are_folded_and_the_values_given_stand_below_them(staged):
    cells = [
        c for c in nbformat.read(staged / "notebooks" / "00_first.ipynb", as_version=4).cells if c.cell_type == "code"
    ]
    assert [cell.source for cell in cells] == ["steps = 3", "steps = 7", "show()"]
    assert ["hide-input" in cell.metadata.get("tags", []) for cell in cells] == [True, True, False]


def test_prose_is_that_of_today_and_outputs_are_those_of_the_cells_that_are_the_same(project, pages):
    first = next(iter(pages))
    notebook = nbformat.read(first, as_version=4)
    notebook.cells[2].source = "New prose."
    notebook.cells.append(new_code_cell("a_new_cell()"))
    shown = with_outputs(notebook, nbformat.read(pages[first], as_version=4))
    texts = [cell.source for cell in shown.cells]
    assert "New prose." in texts
    assert [len(cell.outputs) for cell in shown.cells if cell.source == "show()"] == [len(many_outputs())]
    assert any("have changed since it was executed" in text for text in texts)


def test_a_page_that_was_not_executed_says_so(staged):
    assert "has not been executed yet" in markdown_of(staged / "notebooks" / "01_second.ipynb")
    assert "has not been executed" not in markdown_of(staged / "notebooks" / "00_first.ipynb")


def test_only_a_finished_copy_counts(project, pages):
    first, second = pages
    folder = project / "build" / "notebooks"
    assert executed_in(folder, [first, second]) == {first: folder / first.name, second: None}
    (folder / f"{first.name}.json").unlink()
    assert executed_in(folder, [first]) == {first: None}


# ---- contents


def test_the_sidebar_has_what_is_there(project, pages):
    def captions():
        stage(pages, project / "source", project / "html", project)
        text = (project / "source" / "index.md").read_text()
        (project / "source").rename(project / f"source{len(list(project.glob('source*')))}")
        return re.findall(r":caption: (.+)", text), text

    assert captions()[0] == ["The road", "Guides", "Reference"]
    write_page(project / "notebooks" / "exercises" / "02_twin.ipynb")
    write(project / "workshop" / "README.md", "# Teach\n")
    write(project / "workshop" / "answers.md", "# Answers\n\n[The map](../notebooks/00_first.ipynb)\n")
    found, text = captions()
    assert found == ["The road", "Exercises", "Guides", "Reference", "Teach"]
    assert "/notebooks/exercises/02_twin" in text
    assert text.index("/workshop/README") < text.index("/workshop/answers")


# ---- formulas


@pytest.mark.parametrize(
    ("tex", "why"),
    [
        (r"\nosuchcommand{x}", r"\\nosuchcommand is not known"),
        (r"\frac{1}", "a part of mfrac is missing"),
        ("{x", "left open"),
        ("x}", "closes nothing"),
        (r"\left( x", "cannot be set"),
        ("a_b_c", "cannot be set"),
    ],
)
def test_a_formula_that_cannot_be_set_is_refused(tex, why):
    with pytest.raises(ValueError, match=why):
        formula_to_mathml(tex)


def test_a_formula_is_mathml_with_its_tex_beside_it():
    mathml = formula_to_mathml(r"h_i = -\log E_i[y_i] < 1", block=True)
    assert 'display="block"' in mathml
    assert r'alttext="h_i = -\log E_i[y_i] &lt; 1"' in mathml
    assert "<msub><mi>h</mi><mi>i</mi></msub>" in mathml
    assert "<mi>log</mi><mspace" in mathml, "the logarithm stands apart from what it is of"
    assert "mspace" not in formula_to_mathml(r"\log(x)")


# ---- the whole


def test_a_small_site_is_built_and_one_that_fails_leaves_it_whole(project, pages):
    index = build_site(pages, project / "build", project)
    page = (project / "build" / "html" / "notebooks" / "00_first.html").read_text(encoding="utf-8")
    assert index == project / "build" / "html" / "index.html"
    assert "Landing" in index.read_text(encoding="utf-8")
    assert 'href="../glossary.html#term-Dice"' in page
    assert 'href="../glossary.html#term-Transfer-risk-map"' in page
    assert 'id="term-Transfer-risk-map"' in (index.parent / "glossary.html").read_text(encoding="utf-8")
    assert page.count("<math ") == 2
    assert 'alt="a strip"' in page
    assert 'alt="A [risk] map_of `x`"' in page
    assert "IntSlider" not in page
    assert "a warning" not in page
    assert "<td>cell</td>" in page
    for path in index.parent.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=["'](https?:)?//""", text), path
    left = {path.name for path in (project / "build").iterdir() if not path.name.startswith(".")}
    assert left == {"html", "site_source", "notebooks"}
    before = index.read_text(encoding="utf-8")
    own = project / "docs" / "guides" / "own.md"
    own.write_text("# Own\n\n[x](../glossary.md#nothing)\n", encoding="utf-8")
    with pytest.raises(SiteError, match="no term 'nothing'"):
        build_site(pages, project / "build", project)
    # what Sphinx itself complains of
    own.write_text("# Own\n\n[nothing](#nothing)\n\n$\\nosuchcommand$\n", encoding="utf-8")
    (project / "docs" / "index.md").write_text("# Other landing\n", encoding="utf-8")
    with pytest.raises(SiteError, match=r"(?s)nothing.*nosuchcommand|nosuchcommand.*nothing"):
        build_site(pages, project / "build", project)
    assert index.read_text(encoding="utf-8") == before


def test_the_command_builds_from_what_is_there(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(site, "build_site", lambda pages, build: asked.append(pages) or build / "html" / "index.html")
    assert site.main(["--out", str(tmp_path)]) == 0
    assert set(asked[0].values()) == {None}
    assert "10 of 10 pages have not been executed" in capsys.readouterr().out


def test_the_project_s_own_site_can_be_staged(tmp_path):
    """Every link of every document and page, and every term, as they stand in the checkout."""
    pages = dict.fromkeys(sorted((PROJECT_ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")))
    stage(pages, tmp_path / "source", tmp_path / "html")
    assert (tmp_path / "source" / "notebooks" / "03_fine_tuning.ipynb").is_file()


# ---- the guides


def test_the_code_of_the_guide_prints_what_it_says():
    text = (DOCS / "guides" / "training_loop.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    names = {}
    assert len(blocks) >= 5
    for code, printed in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as told:
            exec(code, names)
        assert told.getvalue() == printed, code
