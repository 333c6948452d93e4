"""Fixtures of notifications, and of Flower in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.farm import Farm
from tests.support.flower import CHROMIUM, answers
from tests.support.lacking import lacking
from tests.support.notified import Phone, make_hook
from tests.support.ports import free_port
from tests.support.sections import SMALL
from tests.support.waiting import eventually


@pytest.fixture
def phone() -> Iterator[Phone]:
    made = Phone()
    yield made
    made.close()


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    return make_hook(tmp_path)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def plotting(farm: Farm, port: int) -> Farm:
    """A farm with Flower and one plot that takes its time."""
    slow = {"type": "chiapos", "chiapos": {"executable": str(farm.chia), "k": 22, **SMALL}}
    farm.configure(tmp=1, dst=1, farm={"flower": True, "flower_port": port}, plotting=slow)
    farm.allow(plots=1)
    farm.up()
    eventually(lambda: answers(port), "Flower answers", 60)
    return farm


@pytest.fixture
def page(port: int) -> Iterator[Any]:
    """An empty page of Chromium, to which Flower's addresses are short."""
    if CHROMIUM is None:
        lacking("Chromium is missing")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=f"http://127.0.0.1:{port}", viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(30_000)
        yield page
        browser.close()
