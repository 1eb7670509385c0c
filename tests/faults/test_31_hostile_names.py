"""Whatever a class, a clip, a model, a title or a reason is called: every output shows the name, and none obeys it."""

import csv
import io
import re

import pytest
from rich.console import Console

from vxbench.commands.common import refuse, run_command
from vxbench.errors import UserError, printable
from vxbench.files import fitted
from vxbench.runner.outcome import Outcome
from vxbench.runner.progress import Progress
from vxbench.tables.render import latex, long_csv, markdown, terminal

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
NAMES = {
    "escape": "\x1b]0;owned\x07\x1b[2J",
    "csi": "\x9b31mred",
    "return": "fine\rerror: owned",
    "backwards": "\u202egpj.exe",
    "lines": "a\n\\input{/etc/passwd}\n| b | c |",
    "tags": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "macros": "\\input{/etc/passwd} $\\write18{x}$ 100% #1 a_b ^ ~ {",
    "link": "[x](javascript:alert(1)) ![y](http://a/b.png)",
    "definition": "[fep]: http://owned.example",
    "heading": "# owned",
    "option": "[2pt] *x",
    "formula": '=HYPERLINK("http://owned.example","x")',
    "sum": "+1+1",
    "minus": "-1+cmd|' /C calc'!A0",
    "at": "@SUM(A1)",
    "markup": "[bold red]owned[/] [/nothing]",
    "half": "\ud800",
}
each_name = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)


@each_name
def test_a_terminal_is_told_nothing(name, capsys):
    def speak():
        print(Outcome("m", "d", name, status="failed", message=name).line())
        print(name)
        raise UserError(f"{name} is not there")

    assert run_command(speak) == 1
    assert refuse(name) == 1
    said = capsys.readouterr()
    assert not CONTROLS.search(said.out + said.err)
    assert said.err.startswith("error: ")


@each_name
def test_nor_is_one_that_shows_a_table_or_a_bar(name):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, color_system=None, width=200)
    console.print(terminal._plain(name))
    with Progress(name, 2, live=False) as progress:
        assert not CONTROLS.search(progress.name)
    assert not CONTROLS.search(shown.getvalue())
    if "bold" in name:
        assert "[bold red]owned[/]" in shown.getvalue()


@each_name
def test_latex_prints_it(name):
    """No command, comment, or argument of the line break before is left: what is special stands behind a backslash."""
    line = latex._row([latex.escape(name), "1"])
    assert "\n" not in line
    assert not CONTROLS.search(line)
    assert not line.startswith(("[", "*"))
    known = r"\\(textbackslash\{\}|textasciitilde\{\}|textasciicircum\{\}|[&%$#_{}\\])|\$[<>|]\$"
    assert not re.search(r"[\\%#$&~^_]", re.sub(known, "", line).replace(" & ", "", 1))
    assert re.fullmatch(r"[\w.-]*", latex._name(name), re.ASCII) or latex._name(name).isprintable()


@each_name
def test_markdown_shows_it(name):
    shown = markdown.escape(name)
    assert "\n" not in shown
    assert not CONTROLS.search(shown)
    assert not re.search(r"(?<!\\)[<|*`]", shown)
    assert "](" not in shown
    assert "]:" not in shown
    assert not re.match(r"[#>+-] |\d+[.)] ", shown)


@each_name
def test_a_spreadsheet_computes_nothing(name):
    text = long_csv.lines_of(("row", "mean"), [{"row": name, "mean": -1.5}])
    (line,) = csv.DictReader(io.StringIO(text, newline=""))
    assert not line["row"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert line["row"].removeprefix("'") == printable(name)
    assert float(line["mean"]) == -1.5


@each_name
@pytest.mark.parametrize("of", ["../../{}", "/{}", "{}/..", "{}\0x", "{0}" * 100, ".."])
def test_no_name_leads_out_of_its_folder(name, of, tmp_path):
    file = tmp_path / "a" / fitted(of.format(name), "-1.md")
    assert file.parent.resolve() == tmp_path / "a"
    assert file.resolve().parent == tmp_path / "a"
    file.parent.mkdir()
    file.write_bytes(b"")


@pytest.mark.slow
def test_neither_a_model_nor_a_table_leads_out_of_the_results(runner):
    """Both are whatever a config calls them."""
    names = ("model.key=../../../led_out", "+table.key=../../led_out", "+table.title=x", "profile=smoke")
    done = runner.here("-m", "model=tsm", "model.checkpoint=null", "explainer=random", "metric=topk", *names)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in runner.folder.iterdir()] == ["results"]
    assert not [path for path in runner.folder.parent.rglob("*led_out*") if runner.results not in path.parents]
    assert [path.name for path in runner.results.rglob("*led_out*.md")]
