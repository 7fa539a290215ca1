"""The docs are true: programs and commands run, links lead somewhere, tables are fresh."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.make_docs import ROOT, pages, stale
from tools.markdown import Block, anchors, as_module, blocks, filled_in, links, made_names, table
from tools.tables import ADAPTERS, all_tables
from ttskit.config import load_settings
from ttskit.registry import Registry

PAGES = pages()
README = ROOT / "README.md"
ENGINES = pytest.mark.engine("hibari", "espeak", "piper", "av")
SHELLS = ("sh", "console")
INSTALLS = re.compile(r"^(pip install [^&]*(&& )?)?(pytest$)?")
"""Done before these tests; and this is pytest already."""
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)\}")
PROGRAMS = {"pw-play": "exit 0", "llm": "echo Once upon a time there was a fox."}
"""What readers have beside ttskit: a loudspeaker's player, silent here, and a language model."""


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def with_blocks(*languages: str) -> list[Path]:
    return [page for page in PAGES if blocks(page.read_text(), *languages)]


def each_block(*languages: str) -> list[object]:
    return [
        pytest.param(block, id=f"{named(page)}:{block.line}")
        for page in PAGES
        for block in blocks(page.read_text(), *languages)
    ]


def as_reader(place: Path) -> dict[str, str]:
    """Return the environment of a reader of the docs."""
    tools = place / "bin"
    tools.mkdir()
    for name, script in PROGRAMS.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TTSKIT_")}
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    return ours | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run(command: list[str], place: Path) -> None:
    work = place / "work"
    work.mkdir()
    shutil.copy(ROOT / "tts.yaml", work)
    shutil.copytree(ROOT / "examples", work / "examples")
    (work / "chapter.txt").write_text("It was late. The train was later.")
    done = subprocess.run(
        command, cwd=work, env=as_reader(place), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def commands_of(block: Block) -> str:
    lines = block.code.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return "\n".join(INSTALLS.sub("", line) for line in lines)


@ENGINES
@pytest.mark.parametrize("page", with_blocks("python"), ids=named)
def test_the_programs_on_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    program = as_module(blocks(page.read_text(), "python"))
    file = tmp_path / f"test_{page.stem.replace('-', '_')}.py"
    file.write_text(program)
    has_tests = re.search(r"^(async )?def test_|^class Test", program, re.MULTILINE)
    runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if has_tests else []
    run([sys.executable, "-W", "error", *runner, str(file)], tmp_path)


@ENGINES
@pytest.mark.parametrize("page", with_blocks(*SHELLS), ids=named)
def test_the_commands_on_a_page_run_one_after_the_other(page: Path, tmp_path: Path) -> None:
    commands = "\n".join(map(commands_of, blocks(page.read_text(), *SHELLS)))
    run(["bash", "-euo", "pipefail", "-c", commands], tmp_path)


@ENGINES
def test_the_commands_told_in_the_example_settings_run(tmp_path: Path) -> None:
    told = re.findall(r"^#   (ttskit .*?)(?:  .*)?$", (ROOT / "tts.yaml").read_text(), re.MULTILINE)
    assert told
    run(["bash", "-euo", "pipefail", "-c", "\n".join(told)], tmp_path)


@pytest.mark.parametrize("block", each_block("yaml"))
def test_settings_shown_are_settings_that_load(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "tts.yaml"
    file.write_text(block.code)
    customary = [name for adapter in ADAPTERS for name in adapter.secrets.values()]
    environ = dict.fromkeys([*VARIABLE.findall(block.code), *customary], "x")
    settings = load_settings(file, environ=environ)
    Registry().build(settings)


@pytest.mark.parametrize("block", each_block("toml"))
def test_project_files_shown_are_toml(block: Block) -> None:
    assert tomllib.loads(block.code)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text()):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_tables_are_as_the_code_is() -> None:
    assert [named(page) for page, _ in stale()] == [], "run: python -m tools.make_docs"


def test_every_table_has_a_page() -> None:
    shown = {name for page in PAGES for name in made_names(page.read_text())}
    assert set(all_tables()) - shown == {"capabilities mock", "options mock"}


@pytest.mark.parametrize("name", [name for name in all_tables() if "mock" not in name])
def test_everything_in_a_table_is_explained(name: str) -> None:
    rows = all_tables()[name].splitlines()[2:]
    unexplained = [row for row in rows if row.endswith("| – |")]  # noqa: RUF001 - as tables have it
    assert not unexplained or name.startswith(("formats", "capabilities"))


def test_every_adapter_of_ours_is_told_of() -> None:
    points = entry_points(group="ttskit.adapters")
    ours = {one.name for one in points if one.value.startswith("ttskit.")}
    assert ours == {adapter.name for adapter in ADAPTERS}


def test_the_index_lists_every_page() -> None:
    index = ROOT / "docs/index.md"
    listed = {(index.parent / link).resolve() for link in links(index.read_text())}
    assert {page for page in PAGES if page.is_relative_to(index.parent)} - {index} <= listed


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 150


def test_a_program_keeps_its_lines() -> None:
    page = "# Title\n\n```python\na = 1\n```\n\ntext\n\n```python\nb = 2\n```\n"
    assert as_module(blocks(page, "python")).splitlines()[3::6] == ["a = 1", "b = 2"]


def test_what_is_not_asked_for_is_not_a_block() -> None:
    assert blocks("```sh\nls\n```\n```text\nls\n```\n", "sh") == [Block("sh", "ls\n", 2)]


@given(cells=st.lists(st.text(), min_size=1, max_size=4))
def test_a_table_has_a_line_for_each_row(cells: list[str]) -> None:
    made = table(["head"] * len(cells), [cells])
    assert made.count("\n") == 3
    assert made.splitlines()[-1].replace("\\|", "").count("|") == len(cells) + 1


@given(before=st.text(), content=st.text(), after=st.text())
def test_filling_in_changes_nothing_but_the_table(before: str, content: str, after: str) -> None:
    start, end = "<!-- made by tools: errors -->\n", "<!-- end -->"
    page = f"{before}{start}{content}{end}{after}"
    filled = filled_in(page, {"errors": "new\n"})
    assert filled == f"{before}{start}new\n{end}{after}"
    assert filled_in(filled, {"errors": "new\n"}) == filled
