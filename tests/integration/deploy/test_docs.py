"""What the documents tell users to type, and to write, works: a document that drifts fails here."""

from __future__ import annotations

import ast
import functools
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import yaml

from common.config import loader
from common.config.model import Config, all_keys
from common.config.problems import Level
from common.names import ROLE_OF_TASK
from plotman.cli import cli
from plotman.control.farm import FarmState
from plotman.metrics.collector import families
from plotman.metrics.families import MetricsReading
from tests.support import full_farm
from tests.support.paths import ROOT
from tests.support.sections import SCHEDULING

DOCUMENTS = sorted((*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"))
# A command begins a line of a block, or a piece of code in the text; it may have a path, and words before it.
_BEFORE = r"(?:^|[`|&;(]\s*|(?:runuser -u \w+ -- ))(?:\S*/)?"
_COMMAND = re.compile(_BEFORE + r"((?:plotman|celery -A plotman)(?: [^`#|\n&;]*)?)", re.MULTILINE)
# Of a file or folder of ours, as prose names it.
_FOLDERS = "deploy|tests|docs|benchmarks|beat|common|plotman|plotter_worker|harvester_worker"
_PATH = re.compile(rf"(?<![\w/~.-])\.?/?((?:{_FOLDERS})/[\w./*-]*\w)")
# Documents for contributors, which name code.
_OF_CODE = sorted(
    (
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs" / name for name in ("architecture.md", "glossary.md", "walkthrough.md")),
        *(ROOT / "docs" / "adr").glob("*.md"),
    )
)
_PACKAGES = ("beat", "common", "harvester_worker", "plotman", "plotter_worker")
_MODULES = {
    path.relative_to(ROOT).as_posix(): path
    for package in _PACKAGES
    for path in (ROOT / package).rglob("*.py")
}
# What stands for something: HOST, FILE, N, ..., [OPTION].
_PLACEHOLDER = re.compile(r"^(?:[A-Z][A-Z_]*|\.\.\.|.*\[.*|.*\].*|<.*>)$")


def code(document: Path) -> Iterator[str]:
    """Indented and fenced blocks as lines, and pieces of code in the text."""
    text = document.read_text(encoding="utf-8")
    yield from re.findall(r"(?m)^(?: {4}|\t)(.+)$", text)
    for language, block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", text):
        if language not in ("yaml", "json", "python"):
            yield from block.splitlines()
    yield from (" ".join(piece.split()) for piece in re.findall(r"(?<!`)`([^`]+)`(?!`)", text))


def commands() -> list[tuple[str, str]]:
    """(document, command) of each command of ours."""
    return sorted(
        {
            (str(document.relative_to(ROOT)), match[1].strip())
            for document in DOCUMENTS
            for line in code(document)
            for match in _COMMAND.finditer(line)
            if len(match[1].split()) > 1
        }
    )


def missing(root: click.Command, words: list[str]) -> str | None:
    """What of a command line the program does not know; None where it knows all."""
    command, path = root, [root.name or ""]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        word = words.pop(0)
        if _PLACEHOLDER.match(word):
            return None
        with click.Context(command) as context:
            found = command.get_command(context, word)
        if found is None:
            return f"{' '.join(path)} has no {word}"
        command, path = found, [*path, word]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"-h", "--help"}
    for word in words:
        option = re.match(r"\[?(--?[a-zA-Z][\w-]*)", word)
        if option and option[1] not in known:
            return f"{' '.join(path)} has no {option[1]}"
    return None


@pytest.mark.parametrize(("document", "line"), commands(), ids=lambda value: str(value)[:60])
def test_a_command_in_the_documents_exists_with_its_options(document: str, line: str) -> None:
    if line.startswith("plotman "):
        assert missing(cli, _words(line)[1:]) is None, document
        return
    words = _words(line)[3:]
    if not words or _PLACEHOLDER.match(words[0]):
        return
    if words[0] == "flower":
        from flower.command import flower

        assert flower.name == "flower"  # its options are tornado's, and not listed
        return
    from celery.bin.celery import celery

    assert missing(celery, words[:1]) is None, document
    if words[0] == "call" and not _PLACEHOLDER.match(words[1]):
        assert words[1] in ROLE_OF_TASK, f"{document}: there is no task {words[1]}"


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def test_there_are_commands_to_look_at() -> None:
    assert len(commands()) > 20


def test_a_verb_or_an_option_that_does_not_exist_is_found() -> None:
    assert missing(cli, ["plod"]) == "cli has no plod"
    assert missing(cli, ["pause", "plotting", "--hots", "x"]) == "cli pause plotting has no --hots"
    assert missing(cli, ["status", "--json"]) is None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_the_documents_name_are_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text) if link]
    prose = re.sub(r"\]\([^)]*\)", "]", text)  # links start at the document, names in prose at the root
    named = _PATH.findall(prose)
    for link in links:
        assert (document.parent / link).exists(), link
    for name in named:
        assert list(ROOT.glob(name)), name


@functools.cache
def _names_in(module: str) -> frozenset[str]:
    """What a module defines, and `Class.member` of its classes."""
    found: set[str] = set()
    for node in ast.parse(_MODULES[module].read_text(encoding="utf-8")).body:
        found |= _defined(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{member}" for inner in node.body for member in _defined(inner)}
    return frozenset(found)


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _is_code(name: str) -> bool:
    """Whether `Class`, `Class.member`, `module`, `module.name` or `package.module.name` exists."""
    if any(name in _names_in(module) for module in _MODULES):
        return True
    parts = name.split(".")
    for split in range(1, len(parts) + 1):
        path, inner = "/".join(parts[:split]), ".".join(parts[split:])
        ends = (f"/{path}.py", f"/{path}/__init__.py")
        found = [module for module in _MODULES if f"/{module}".endswith(ends)]
        if any(not inner or inner in _names_in(module) for module in found):
            return True
    return False


def unknown_names(text: str) -> list[str]:
    """Paths, classes and dotted names of code in a document that name nothing."""
    beside = (path for folder in ("deploy", "tests") for path in (ROOT / folder).rglob("*.py"))
    files = [*_MODULES, *(path.relative_to(ROOT).as_posix() for path in beside)]
    paths = set(re.findall(r"[\w/]*\w\.py\b", text))
    named = [path for path in sorted(paths) if not any(f"/{file}".endswith(f"/{path}") for file in files)]
    no_code = {".".join(key) for key in all_keys(Config)} | set(ROLE_OF_TASK)
    first = {part for module in _MODULES for part in (*Path(module).parts, Path(module).stem)}
    for name in sorted(set(re.findall(r"`([A-Za-z_]\w*(?:\.\w+)*)(?:\(\))?`", text))):
        if name.endswith(".py"):
            continue
        is_class = re.match(r"[A-Z][a-z]+(?:[A-Z]\w*)?(?:\.|$)", name)
        is_dotted = (
            "." in name and name.split(".")[0] in first and not _PLACEHOLDER.match(name.split(".")[-1])
        )
        if (
            (is_class or is_dotted)
            and name not in no_code
            and not (ROOT / name).exists()
            and not _is_code(name)
        ):
            named.append(name)
    return named


@pytest.mark.parametrize("document", _OF_CODE, ids=lambda path: path.name)
def test_code_that_the_contributors_documents_name_exists(document: Path) -> None:
    assert unknown_names(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("see beat/policy/decide.py or policy/decide.py", []),
        ("see beat/policy/decided.py or police/decide.py", ["beat/policy/decided.py", "police/decide.py"]),
        ("`decide.py` and `decided.py`", ["decided.py"]),
        ("`decide.decide`, `beat.policy.decide.decide()`, `beat.policy.decide`", []),
        ("`decide.decided`, `beat.policy.decided.decide`", ["beat.policy.decided.decide", "decide.decided"]),
        ("`PendingOrder`, `PendingOrder.sent_at`", []),
        ("`PendingOrders`, `PendingOrder.sent`", ["PendingOrder.sent", "PendingOrders"]),
        ("`scheduling.check_room`, `plotter_worker.plot`, `archive.HOST`, `pyproject.toml`", []),
    ],
)
def test_a_name_in_a_document_that_names_no_code_is_found(text: str, unknown: list[str]) -> None:
    assert unknown_names(text) == unknown


def keys_of(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        yield from content
        content = list(content.values())
    if isinstance(content, list):
        for inner in content:
            yield from keys_of(inner)


@pytest.mark.parametrize("verb", ["status", "dirs", "dsched"])
def test_every_key_of_a_verbs_json_is_in_the_documents(verb: str) -> None:
    golden = ROOT / "tests" / "unit" / "plotman" / "control" / "golden" / f"{verb}.json"
    told = set(re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")))
    assert set(keys_of(json.loads(golden.read_text(encoding="utf-8")))) - told == set()


def test_every_metric_is_in_the_documents() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `plotman_")]
    named = [re.findall(r"`(\w+)`", row) for row in rows]
    farm = FarmState(
        at=datetime.now(UTC),
        plotters={"plotter1": full_farm.plotter()},
        archivers={"plotter1": full_farm.archiver()},
        harvesters={"harvester1": full_farm.harvester()},
        waits=None,
        stale=frozenset(),
    )
    missing = [
        family.name
        for family in families(MetricsReading(farm))
        if not any(_is_named(family.name, row) for row in named)
    ]
    assert missing == []


def _is_named(metric: str, row: list[str]) -> bool:
    """`plotman_tmp_up`, `_free_bytes`: what begins with _ is short for what begins as the name before it."""
    kind = "_".join(row[0].split("_")[:2])
    short = [name for name in row if name.startswith("_")]
    return bool({metric, f"{metric}_total"} & set(row)) or (
        metric.startswith(kind) and any(metric.endswith(ending) for ending in short)
    )


def yaml_blocks() -> list[tuple[str, str]]:
    return [
        (document.name, block)
        for document in DOCUMENTS
        for block in re.findall(r"(?ms)^```yaml\n(.*?)^```$", document.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("document", "block"), yaml_blocks(), ids=lambda value: str(value)[:30])
def test_a_piece_of_plotman_yaml_in_the_documents_is_right(document: str, block: str, tmp_path: Path) -> None:
    """With what must stand beside it: a first line, and the rest of a plotter where it is of one."""
    content = {"version": [2], **yaml.safe_load(block)}
    if "archiving" in content and "directories" not in content:
        content |= {
            "directories": {"tmp": ["/mnt/tmp"]},
            "scheduling": SCHEDULING,
            "plotting": {"type": "chia", "chia": {"executable": "/opt/chia/bin/chia", "k": 32}},
        }
    file = tmp_path / "plotman.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    errors = [problem for problem in loader.read(file).problems if problem.level is Level.ERROR]
    # Keys are the reader's own to fill in.
    assert [str(error) for error in errors if "YOUR_" not in str(error) and "_pk" not in str(error)] == []
