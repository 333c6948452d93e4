"""The page of the farm: what lies on the drives."""

from __future__ import annotations

from plotman.flower.sections import page
from tests.support import showcase


def test_the_page_shows_what_lies_on_the_drives() -> None:
    (section,) = [one for one in page(showcase.troubled()).sections if one.title.startswith("On the drives")]
    assert section.title == "On the drives (h1: read 1,508 of 1,900 files; no whole plots: 2 files)"
    assert section.table.rows[0] == ("k32 uncompressed", "pool key 9c9c9c9c", "812", "88.5 TB", "61.3%")


def test_a_farm_without_an_inventory_says_so() -> None:
    (section,) = [one for one in page(showcase.small()).sections if one.title == "On the drives"]
    assert (section.table.rows, section.empty) == ((), "No harvester has an inventory yet.")
