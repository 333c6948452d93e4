"""A drive has a file of the plot's name already: the source is deleted only if all its bytes are the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.errors import PlotRefused, TransferFailed
from common.model.messages import Delivery
from harvester_worker.drives import digests, part_files
from tests.support import formats
from tests.support.site import Machines, Site

pytestmark = pytest.mark.plotter


def set_proofs(site: Site, proofs: str) -> None:
    if proofs == "off":
        site.farm.admitter.challenges = 0
    elif proofs == "impossible":
        site.farm.admitter._python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or ""
        if not site.farm.admitter._python:
            pytest.skip("no Python without chiapos here")


@pytest.mark.parametrize("proofs", ["on", "off", "impossible"])
@pytest.mark.parametrize("kind", formats.FORMATS)
def test_the_source_goes_only_where_the_drive_has_the_same_bytes(
    machines: Machines, drive: Path, tmp_path: Path, real_plot: Path, kind: str, proofs: str
) -> None:
    set_proofs(machines.site, proofs)
    (tmp_path / "dst").mkdir()
    source = formats.make(kind, tmp_path / "dst", real_plot)
    original = source.read_bytes()
    copy = drive / source.name

    for what, content in formats.differing(original).items():
        copy.write_bytes(content)
        for _ in range(2):  # a second try changes nothing
            with pytest.raises((PlotRefused, TransferFailed)) as refused:
                machines.archive(source)
            assert str(copy) in str(refused.value), what
            assert source.read_bytes() == original, what
            assert copy.read_bytes() == content, what
    copy.write_bytes(original)
    admission = machines.archive(source)

    assert not source.exists()
    assert copy.read_bytes() == original
    assert admission.landed == str(copy)
    assert admission.verified.endswith("all bytes compared with the source")
    assert digests.admitted(str(drive), copy.name) is not None


def test_another_file_is_refused_with_what_to_do_about_it(
    plotter: Machines, drive: Path, source: Path
) -> None:
    for what, why in (
        ("one bit", "Its content differs from the source"),
        ("zeroed tail", "is not whole: zero"),
    ):
        (drive / source.name).write_bytes(formats.differing(source.read_bytes())[what])

        with pytest.raises(PlotRefused) as refused:
            plotter.archive(source)

        assert f"{drive / source.name} exists and is not the plot that is to come" in refused.value.what
        assert why in refused.value.what
        assert "`plotman resend`" in refused.value.cure


def test_once_the_bad_file_is_out_of_the_way_the_plot_lands(
    machines: Machines, drive: Path, source: Path
) -> None:
    original = source.read_bytes()
    (drive / source.name).write_bytes(formats.differing(original)["zeroed tail"])
    with pytest.raises(PlotRefused):
        machines.archive(source)
    (drive / source.name).rename(drive / "bad")

    assert Path(machines.archive(source).landed).read_bytes() == original


def test_a_link_under_the_plots_name_is_no_copy(plotter: Machines, drive: Path, source: Path) -> None:
    original = source.read_bytes()
    (drive / source.name).symlink_to(shutil.copy(source, drive / "elsewhere"))

    admission = plotter.archive(source)  # to the other drive

    assert Path(admission.landed).parent != drive
    assert Path(admission.landed).read_bytes() == original


def test_a_plotter_cannot_have_a_foreign_file_taken_for_its_plot_unread(
    plotter: Machines, drive: Path, source: Path
) -> None:
    """Messages that no plotman of today sends."""
    (drive / source.name).write_bytes(formats.differing(source.read_bytes())["one bit"])
    reservation = plotter.reserve(source)
    assert reservation.compare

    for forged, digest in ((False, None), (True, None), (True, "md4"), (False, "00" * 20)):
        with pytest.raises(TransferFailed, match="digest is not known"):
            plotter.admit(
                Delivery(reservation=reservation.model_copy(update={"compare": forged}), digest=digest)
            )


def test_a_file_that_appears_during_the_transfer_is_compared_and_not_replaced(
    machines: Machines, drive: Path, source: Path
) -> None:
    original = source.read_bytes()
    delivery = machines.send(machines.reserve(source))
    bad = formats.differing(original)["one bit"]
    (drive / source.name).write_bytes(bad)

    with pytest.raises(TransferFailed, match="appeared"):
        machines.admit(delivery)
    with pytest.raises(PlotRefused):
        machines.archive(source)
    assert (drive / source.name).read_bytes() == bad
    (drive / source.name).write_bytes(original)
    machines.archive(source)

    assert not source.exists()
    assert part_files.parts(str(drive)) == []


def test_a_foreign_copy_beside_another_file_of_the_name_is_not_believed(
    plotter: Machines, drive: Path, source: Path
) -> None:
    shutil.copy(source, drive.with_name("drive2"))
    (drive / source.name).write_bytes(b"something else")
    with pytest.raises(PlotRefused, match="not the plot"):
        plotter.archive(source)


@pytest.mark.parametrize("kind", ["v1.0", formats.GROUP])
def test_a_damaged_source_is_kept_also_where_the_drive_has_the_same_bytes(
    machines: Machines, drive: Path, tmp_path: Path, real_plot: Path, kind: str
) -> None:
    machines.site.farm.admitter.challenges = 0
    (tmp_path / "dst").mkdir()
    source = formats.make(kind, tmp_path / "dst", real_plot)
    damaged = formats.differing(source.read_bytes())["zeroed tail"]
    source.write_bytes(damaged)
    for there in (False, True):
        if there:
            (drive / source.name).write_bytes(damaged)
        with pytest.raises(PlotRefused, match="is not whole"):
            machines.archive(source)
        assert source.read_bytes() == damaged
    assert digests.admitted(str(drive), source.name) is None
