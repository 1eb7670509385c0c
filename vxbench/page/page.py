"""The page as text and as a file."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vxbench.files import write_whole
from vxbench.page.curves import curve_sets
from vxbench.page.data import FigureFile, Report
from vxbench.page.embed import data_uri, json_text, source_hash
from vxbench.page.gallery import gather
from vxbench.page.origins import failed_clips, lost_cells, machine_line, origins, unscored
from vxbench.page.tables import overview, table_view
from vxbench.page.values import script_data

PAGE = "index.html"
BUDGET = 24_000_000  # bytes of pictures in the page: figures first, then clips
STYLES = ("base.css", "tables.css", "curves.css", "gallery.css", "print.css")
SCRIPTS = ("dom.js", "colours.js", "sort.js", "curves.js", "gallery.js", "values.js", "start.js")


def render(report: Report, budget: int = BUDGET) -> str:
    """The page, whole: it asks for no file and no address, and its policy lets no other script run.

    budget: bytes of pictures; what does not fit is left out and listed.

    Raises:
        UserError: a clip's map does not fit its frames, or its curves do not fit each other.
    """
    environment = _environment()
    figures, lost_figures, left = _within(report.figures, budget)
    shown, images, lost_clips = gather(report.galleries, left)
    style, script = (_sources(environment, names) for names in (STYLES, SCRIPTS))
    return environment.get_template("page.html").render(
        report=report,
        titles=_titles(report),
        overview=overview(report.tables),
        tables=[table_view(page) for page in report.tables],
        curves=[(page.name, sets) for page in report.tables if (sets := curve_sets(page))],
        figures=figures,
        lost_cells=lost_cells(report.tables),
        failed_clips=failed_clips(report.tables),
        unscored=unscored(report.tables),
        origins=origins(report.tables),
        machine_line=machine_line,
        left_out=[*report.left_out, *lost_figures, *lost_clips],
        data=json_text(script_data(report.tables, shown, images)),
        style=Markup(style),
        script=Markup(script),
        policy=f"default-src 'none'; img-src data:; style-src {source_hash(style)}; script-src {source_hash(script)}",
    )


def write_report(report: Report, folder: str | Path, budget: int = BUDGET) -> Path:
    """Writes index.html into the folder, whole or not at all; its path."""
    path = Path(folder) / PAGE
    write_whole(path, render(report, budget).encode(errors="backslashreplace"))  # names of files may be no Unicode
    return path


def _environment() -> Environment:
    """Every value is escaped as it enters the page; a name the page does not know is an error."""
    loader = PackageLoader("vxbench.page")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _sources(environment: Environment, names: tuple[str, ...]) -> str:
    """The project's own files, not templates, one after the other."""
    return "".join(environment.loader.get_source(environment, name)[0] for name in names)


def _titles(report: Report) -> list[str]:
    """One line a profile: which it is, and whether its numbers may be compared with the papers'."""
    lines = []
    for page in report.tables:
        profile = page.table.profile
        warning = "" if profile.comparable else ", not comparable with the papers"
        lines.append(f"profile {profile.name}{warning}: {profile.title_line}")
    return list(dict.fromkeys(lines))


def _within(figures: list[FigureFile], budget: int) -> tuple[list[dict], list[str], int]:
    """Figures that fit, lines on those that do not, and what is left of the budget."""
    kept, lost = [], []
    for figure in figures:
        address = data_uri(figure.png, "image/png")
        if len(address) <= budget:
            budget -= len(address)
            kept.append({"key": figure.key, "caption": figure.caption, "address": address})
        else:
            lost.append(f"figure {figure.key}: for the size of this page")
    return kept, lost, budget
