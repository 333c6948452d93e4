"""Plotters of other packages: their section is as strict as ours, and a broken one harms only itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from common.config import load as load_config
from common.config.check.programs import wanted
from common.config.loader import find_problems
from common.config.sections.plotter_packages import BrokenPackage
from common.config.sections.plotting import Plotting
from common.config.watch import compared
from common.model.phase import Phase
from plotter_worker.leftovers.rules import scratch_of
from plotter_worker.plotters import packaged, registry
from plotter_worker.plotters.base import CommandLine, Mode
from plotter_worker.plotters.packaged import Uninstalled
from tests.support.plotter_package import TINY, Install
from tests.support.sections import PLOTTER

ID = "ab" * 32


def written(tmp_path: Path, **plotting: object) -> Path:
    file = tmp_path / "plotman.yaml"
    file.write_text(yaml.safe_dump({**PLOTTER, "plotting": {"farmer_pk": "f", "pool_pk": "p", **plotting}}))
    return file


def problems(tmp_path: Path, **plotting: object) -> list[str]:
    return [str(one).partition(" plotting")[2] for one in find_problems(written(tmp_path, **plotting))]


def test_its_section_is_read_and_its_command_is_started(tmp_path: Path, install: Install) -> None:
    install("tinyplot")
    config = load_config(written(tmp_path, type="tinyplot", tinyplot={"k": 20}))
    assert config.plotting is not None
    plotter = registry.plotter_for(config.plotting.type)
    argv = plotter.argv(config.plotting, "/t1", None, "/d")
    assert argv == ["tinyplot", "-k", "20", "-s", "2000", "-t", "/t1", "-d", "/d", "-f", "f", "-p", "p"]
    found = registry.recognise(argv, "/")
    assert found is not None
    assert (found[0], found[1].k, found[1].dst) == (plotter, 20, "/d")
    assert registry.recipe_of(config).dst_bytes == 5_000_000
    assert registry.recognise_log(b"tinyplot says hello\n") is plotter
    (program, *_) = wanted(config)
    assert (program.executable, program.arguments) == ("tinyplot", ("--version",))


def test_its_section_may_be_absent_and_is_all_default_then(tmp_path: Path, install: Install) -> None:
    install("tinyplot")
    config = load_config(written(tmp_path, type="tinyplot"))
    assert config.plotting is not None
    assert config.plotting.options.k == 18


@pytest.mark.parametrize(
    ("plotting", "told"),
    [
        ({"tinyplot": {"stripe": 3}}, ".tinyplot.stripe: unknown key. Did you mean stripes?"),
        ({"tinyplot": {"k": "big"}}, ".tinyplot.k: 'big' is not a whole number. Write, for example: 18."),
        ({"tinyplot": {"k": True}}, ".tinyplot.k: true is not a whole number. Write, for example: 18."),
        ({"madmax": {"k": 99}}, ".madmax.k: 99 is more than 34. Write 34 or less."),
        ({"nonsense": 1}, ".nonsense: unknown key. Write one of: type, farmer_pk, pool_contract_address, "
         "pool_pk, gpus, jobs_per_gpu, chia, chiapos, madmax, bladebit, xchplot2."),
    ],
)  # fmt: skip
def test_its_section_is_as_strict_as_ours(
    tmp_path: Path, install: Install, plotting: dict[str, object], told: str
) -> None:
    install("tinyplot")
    assert problems(tmp_path, type="tinyplot", **plotting) == [told]


def test_it_is_offered_where_a_type_is_misspelt(tmp_path: Path, install: Install) -> None:
    install("tinyplot")
    told = (
        ".type: 'tinyplt' is none of chia, chiapos, madmax, bladebit, xchplot2, tinyplot, "
        "and no installed package offers it. Did you mean tinyplot?"
    )
    assert problems(tmp_path, type="tinyplt") == [told]


def lying(old: str, new: str) -> str:
    assert old in TINY
    return TINY.replace(old, new, 1)


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import no_such_module", "does not load: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "does not load: SystemExit: 3"),
        ("raise ValueError('two\\nlines')", "does not load: ValueError: two lines"),
        ("other = 1", "does not load: AttributeError: module 'tinyplot_for_plotman' has no attribute"),
        (lying("plotter = Tiny()", "plotter = Tiny"),
         "is not usable: the entry point names a class, and must name an object of it"),
        (lying("class Tiny(api.Plotter)", "class Tiny"),
         "is not usable: it is not derived from plotter_worker.plotters.plotter.Plotter"),
        (lying('name = "tinyplot"', 'name = "chia"'),
         "is not usable: its name is 'chia', and its entry point's is 'tinyplot'"),
        (lying("options = TinyOptions", "options = dict"),
         "is not usable: its `options` is no subclass of PlotterOptions"),
        (lying("    executable", "    model_config = {'extra': 'allow'}\n    executable"),
         "is not usable: its `options` must refuse unknown keys and be frozen, as PlotterOptions is"),
        (lying("marks = (b", "marks = ("), "is not usable: its `marks` are not bytes"),
        (lying("rules = api.merged(", "rules = dict(a=[(1, 2)]) or ("),
         "is not usable: its `rules` are not made by rules() and merged()"),
        (lying("rules = api.merged(", "rules = {b'a': [(re.compile(b'x'), _done)]} or ("),
         "is not usable: its `rules` have a pattern of bytes, and must have texts"),
        (lying("    def argv(", "    noise = '#'\n\n    def argv("),
         "is not usable: its `noise` is not bytes"),
        (lying("    def argv(", "    secret_options = ('s',)\n\n    def argv("),
         "is not usable: its `secret_options` are not options"),
        (lying("return [chosen.executable", "return 3 or [chosen.executable"),
         "is not usable: its argv() returns no list of texts"),
        (lying("return [chosen.executable", "return 1 / 0, [chosen.executable"),
         "fails with these settings: ZeroDivisionError: division by zero"),
        (lying("return [chosen.executable", "raise SystemExit(3)\n        return [chosen.executable"),
         "fails with these settings: SystemExit: 3"),
        (lying("dst_bytes=5_000_000", "dst_bytes='much'"), "fails with these settings: ValidationError:"),
        (lying("def argv", "def recipe(self, *_): return 7\n\n    def argv"),
         "is not usable: its recipe() returns no Recipe"),
    ],
    ids=lambda value: None if value.startswith(("is", "does", "fails")) else "module",
)  # fmt: skip
def test_a_broken_one_is_one_line_that_names_its_package(
    tmp_path: Path, install: Install, module: str, told: str
) -> None:
    install("tinyplot", module, version="1.2")
    (problem,) = problems(tmp_path, type="tinyplot")
    assert problem.startswith(f".type: the plotter of package tinyplot-for-plotman 1.2 {told}")
    assert problem.endswith("Repair or update that package, or write another type.")
    assert "\n" not in problem


@pytest.mark.parametrize("error", ["RuntimeError: bad day", "SystemExit: 3"])
def test_a_validator_that_breaks_is_its_packages_fault(tmp_path: Path, install: Install, error: str) -> None:
    kind, _, what = error.partition(": ")
    check = f"\n    def model_post_init(self, context):\n        raise {kind}('{what}')\n"
    install("tinyplot", lying("    stripes: int = 2000\n", f"    stripes: int = 2000\n{check}"))
    (problem,) = problems(tmp_path, type="tinyplot")
    assert f"package tinyplot-for-plotman 1.0 cannot read its section: {error}" in problem


def test_two_packages_with_one_name_are_both_named(tmp_path: Path, install: Install) -> None:
    install("tinyplot")
    other = tmp_path / "site" / "other-3.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 3\n")
    (other / "entry_points.txt").write_text("[plotman.plotters]\ntinyplot = other:plotter\n")
    (problem,) = problems(tmp_path, type="tinyplot")
    assert "other 3 and tinyplot-for-plotman 1.0 all offer a plotter 'tinyplot'" in problem


@pytest.mark.parametrize("kind", ["chia", "madmax"])
def test_our_plotters_never_load_it(tmp_path: Path, install: Install, kind: str) -> None:
    install("tinyplot", "raise SystemExit")
    assert problems(tmp_path, type=kind, tinyplot={"anything": 1}) == []
    config = load_config(written(tmp_path, type=kind))
    assert registry.recipe_of(config).plotter == kind
    assert "tinyplot_for_plotman" not in sys.modules


@pytest.mark.parametrize("name", ["madmax", "farmer_pk", "options", "type", "my-tool"])
def test_no_package_replaces_what_is_ours(tmp_path: Path, install: Install, name: str) -> None:
    install(name, "raise SystemExit")
    install("tinyplot", "raise SystemExit")  # a section of another package is left out, and nothing else
    config = load_config(written(tmp_path, type="madmax", madmax={"k": 33}, tinyplot={}))
    assert config.plotting is not None
    assert (config.plotting.farmer_pk, config.plotting.options.k) == ("f", 33)


@pytest.mark.parametrize(
    ("name", "flaw"),
    [("my-tool", "is no Python identifier"), ("farmer_pk", "is plotman's own"),
     ("options", "is plotman's own")],
)  # fmt: skip
def test_one_that_is_left_out_is_named_with_the_reason(
    tmp_path: Path, install: Install, name: str, flaw: str
) -> None:
    install(name, "raise SystemExit")
    (problem,) = problems(tmp_path, type=name)
    assert problem == (
        f".type: {name!r} is none of chia, chiapos, madmax, bladebit, xchplot2; {name!r} of package "
        f"{name}-for-plotman 1.0 is left out, as its name {flaw}. Write one of these."
    )


def test_a_change_between_one_of_ours_and_it_takes_effect_at_once(tmp_path: Path, install: Install) -> None:
    install("tinyplot")
    ours = load_config(written(tmp_path, type="madmax"))
    its = load_config(written(tmp_path, type="tinyplot", tinyplot={"k": 20}))
    assert "plotting.type" in compared(ours, its).live
    assert "plotting.type" in compared(its, ours).live
    other = load_config(written(tmp_path, type="tinyplot", tinyplot={"k": 22}))
    assert compared(its, other).live == ("plotting.tinyplot.k",)


def test_errors_in_its_code_stay_its_own(tmp_path: Path, install: Install) -> None:
    text = lying("def recognise(self, argv, cwd):", "def recognise(self, argv, cwd):\n        1 / 0")
    text = text.replace("state.reach(api.Phase(int(match[1]), 1))", "1 / 0")
    install("tinyplot", text.replace("return api.SizeEstimate(", "return 1 / (k - 20) and api.SizeEstimate("))
    load_config(written(tmp_path, type="tinyplot"))
    plotter = registry.plotter_for("tinyplot")
    assert registry.recognise(["tinyplot", "-k", "18"], "/") is None
    found = registry.recognise(["chia_plot", "-t", "/t/", "-d", "/d/"], "/")
    assert found is not None and found[0].name == "madmax"
    assert plotter.size_estimate(CommandLine("tinyplot", k=20)) is None
    assert plotter.size_estimate(CommandLine("tinyplot", k=18)) is not None
    reader = plotter.reader(CommandLine("tinyplot", k=18, cwd="/"))
    reader.feed(
        f"tinyplot says hello\nstep 2 of 4\nfinished /d/plot-k18-2026-11-30-12-00-{ID}.plot\n".encode()
    )
    assert [plot.plot_id for plot in reader.progress.plots_done] == [ID]


@pytest.mark.parametrize("answer", ["1 / 0", "raise SystemExit(3)", "return 'gpu'"])
def test_one_whose_mode_is_unknown_has_no_gpus_and_ends_no_worker(
    tmp_path: Path, install: Install, answer: str
) -> None:
    late = (
        f"def mode_of(self, plotting):\n        if plotting.gpus: {answer}\n        return api.Mode.GPU\n\n"
    )
    install("tinyplot", lying("    def argv(", f"    {late}    def argv("))
    with_gpus = Plotting.model_construct(type="tinyplot", gpus=("0",))
    config = load_config(written(tmp_path, type="tinyplot"))
    assert registry.plotter_for("tinyplot").mode_of(config.plotting) is Mode.GPU
    assert registry.gpus_of(config.model_copy(update={"plotting": with_gpus})) == ()


def test_plots_of_a_long_batch_are_not_checked_again_at_each_line(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tinyplot")
    load_config(written(tmp_path, type="tinyplot"))
    reader = registry.plotter_for("tinyplot").reader(CommandLine("tinyplot", k=18, n=400, cwd="/"))
    checks: list[object] = []
    check = packaged._check
    monkeypatch.setattr(packaged, "_check", lambda value: (checks.append(value), check(value)))
    for number in range(400):
        plot = f"/d/plot-k18-2026-11-30-12-00-{number:064x}.plot"
        reader.feed(f"tinyplot says hello\nfinished {plot}\n".encode())
        assert len(reader.progress.plots_done) == number + 1
    reader.feed(b"step 2 of 4\n")
    checks.clear()
    assert len(reader.progress.plots_done) == 400
    assert len(checks) < 100, "settled plots are not checked again"


@pytest.mark.parametrize(
    "rule",
    [
        "1 / 0",
        "raise_(SystemExit(3))",
        "setattr(state, 'plot', None)",
        "setattr(state.plot, 'total_s', '12')",
        "setattr(state.plot, 'percent', '50')",
        "setattr(state.plot, 'phase', 2)",
        "setattr(state, 'threads', 'four')",
        "state.done.append(None)",
        "state.done.append(api.Plot(k='18'))",
        "state.fail(7)",
        "state.expect_error(lambda line: 1 / 0)",
    ],
)
def test_whatever_its_rules_do_the_log_is_read_on(tmp_path: Path, install: Install, rule: str) -> None:
    text = lying("state.reach(api.Phase(int(match[1]), 1))", rule)
    text += "\n\ndef raise_(error):\n    raise error\n"
    install("tinyplot", text)
    load_config(written(tmp_path, type="tinyplot"))
    reader = registry.plotter_for("tinyplot").reader(CommandLine("tinyplot", k=18, cwd="/"))
    reader.feed(b"tinyplot says hello\n")
    before = reader.progress
    assert (before.phase, before.percent) == (Phase(1, 1), 1.0)
    reader.feed(b"step 2 of 4\nlast words\nstep 3 of 4")
    reader.end()
    assert reader.progress == before
    assert reader.tail(9).endswith("last words\nstep 3 of 4")


def test_it_decides_on_no_deletion_of_files_that_may_be_others(tmp_path: Path, install: Install) -> None:
    greedy = (
        'anonymous = re.compile(".*")\n\n    def own_files(self, names, plot_id):\n        raise ValueError'
    )
    install("tinyplot", lying("    def argv(", f"    {greedy}\n\n    def argv("))
    load_config(written(tmp_path, type="tinyplot"))
    names = [f"plot-k18-2026-11-30-12-00-{ID}.plot", "keys.tsv", "letter.odt", "a.tmp"]
    found = registry.plotter_for("tinyplot").own_files(names, None)
    assert (found.certain, found.by_directory) == ((), ("a.tmp",))
    assert [name for name in names if scratch_of(name)] == ["a.tmp"]


def test_jobs_of_one_that_is_uninstalled_are_watched_on() -> None:
    gone = registry.plotter_of_job("gone-plotter")
    assert isinstance(gone, Uninstalled)
    with pytest.raises(BrokenPackage, match="no installed package offers a plotter 'gone-plotter'"):
        registry.plotter_for("gone-plotter")
    assert gone.reader().progress.plots_done == ()
