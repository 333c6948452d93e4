"""Makes the pictures of Flower's farm page from a real run: `.venv/bin/python docs/pictures/flower.py`.

Runs the quick start and looks at its Flower with Debian's Chromium.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLOTS, K = 8, 20
_LANDED = 4  # plots on drives before the page is opened, so that its charts have something to show


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="plotman-") as folder:
        farm = Path(folder) / "farm"
        command = [ROOT / "deploy" / "quickstart", "--farm", farm, "--plots", str(PLOTS), "--k", str(K)]
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{port(farm)}"
            while len(list(farm.glob("drives/*/*.plot"))) < _LANDED and run.poll() is None:
                time.sleep(0.5)
            photograph(address)
            run.wait(timeout=900)
        finally:
            run.terminate()
            run.wait(timeout=60)


def port(farm: Path) -> int:
    """Flower's, once it answers."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            found = re.search(r"flower_port: (\d+)", (farm / "plotman.yaml").read_text(encoding="utf-8"))
            if found is None:
                continue
            with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/farm", timeout=5):
                return int(found[1])
        except OSError:
            continue
    raise SystemExit("Flower never answered.")


def photograph(address: str) -> None:
    """For light and for dark pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1300})
        page.set_default_timeout(300_000)
        page.goto(f"{address}/farm")
        page.wait_for_selector("section[aria-label^='Running plots'] .farm-percent")
        page.wait_for_selector("text=/[1-9] in 30 days/")
        for scheme, suffix in (("light", ""), ("dark", "-dark")):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=HERE / f"flower-farm{suffix}.png")
        browser.close()


if __name__ == "__main__":
    main()
