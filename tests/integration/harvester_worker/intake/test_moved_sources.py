"""A source whose folder or name changes while its plot is on its way: the plot ends on one drive, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import OrderRefused
from common.worker.move_step import never
from tests.support.site import Machines

pytestmark = pytest.mark.plotter


def on_drives(machines: Machines) -> list[Path]:
    return sorted(machines.site.folder.glob("drive*/*.plot"))


@pytest.mark.parametrize("when", ["during its transfer", "during its admission", "after its admission"])
def test_a_plot_whose_folder_changes_is_neither_sent_nor_read_again(
    machines: Machines, source: Path, when: str
) -> None:
    """`mv dst/PLOT dst2/`; or dst has another path in plotman.yaml after a restart."""
    now = machines.site.folder / "tmp" / source.name
    now.parent.mkdir()

    def moved(*_: object) -> None:
        if source.exists():
            source.rename(now)

    reservation = machines.reserve(source)
    delivery = machines.archiver.send(
        reservation, moved if when == "during its transfer" else lambda _: None, never
    )
    if when == "during its admission":
        moved()
    admission = machines.admit(delivery)
    moved()
    assert not machines.release(admission, source), "nothing is left to delete there"

    again = machines.reserve(now)
    delivery = machines.send(again)

    assert (again.landed, again.compare) == (admission.landed, False)
    assert (delivery.sent_bytes, delivery.took_s) == (0, 0)
    assert machines.release(machines.admit(delivery), now)
    assert not now.exists()
    assert on_drives(machines) == [Path(admission.landed)]


def test_a_source_renamed_within_dst_during_its_transfer_is_on_the_drives_once(
    machines: Machines, source: Path
) -> None:
    reservation = machines.reserve(source)
    now = source.with_name(source.name.replace("plot-k18-20", "plot-k18-19"))
    delivery = machines.archiver.send(reservation, lambda _: source.exists() and source.rename(now), never)
    admission = machines.admit(delivery)
    assert not machines.release(admission, source)

    again = machines.reserve(now)
    assert (again.landed, again.compare) == (admission.landed, False)
    assert machines.release(machines.admit(machines.send(again)), now)
    assert not now.exists()
    assert on_drives(machines) == [Path(admission.landed)]


def test_a_second_copy_of_a_delivered_plot_goes_only_after_a_comparison(
    machines: Machines, source: Path
) -> None:
    second = machines.site.folder / "tmp" / source.name
    second.parent.mkdir()
    second.write_bytes(source.read_bytes())
    admission = machines.archive(source)

    again = machines.reserve(second)
    with pytest.raises(OrderRefused, match="was not sent to"):
        machines.release(
            admission.model_copy(
                update={"reservation": admission.reservation.model_copy(update={"path": str(second)})}
            ),
            second,
        )
    delivery = machines.send(again)
    assert delivery.digest is not None, "the whole file was read"
    assert machines.release(machines.admit(delivery), second)
    assert [path.name for path in on_drives(machines)] == [source.name]
