"""Prepares the official chia plotter for small plots, with everything it keeps below the farm's folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.errors import PlotmanError

MIN_K = 18  # the least that chiapos 2.0.12 makes
_MIN_K_SETTING = re.compile(r"^min_mainnet_k_size: \d+$", re.MULTILINE)  # chia-blockchain 2.7.5
_KEYS = """
import secrets
from chia_rs import AugSchemeMPL
for _ in range(2):
    print(AugSchemeMPL.key_gen(secrets.token_bytes(32)).get_g1())
"""


@dataclass(frozen=True)
class Keys:
    """Public keys, 96 hexadecimal digits each; nobody holds their secret halves."""

    farmer: str
    pool: str


@dataclass(frozen=True)
class ChiaHome:
    """chia as installed (`program`, in a virtual environment), and a folder for what it keeps."""

    program: Path
    folder: Path

    @property
    def wrapper(self) -> Path:
        """Program to name in plotman.yaml: chia, with its own folders whoever calls it."""
        return self.folder / "bin" / "chia"

    @property
    def _variables(self) -> dict[str, str]:
        return {"CHIA_ROOT": str(self.folder / "root"), "CHIA_KEYS_ROOT": str(self.folder / "keys")}

    def prepare(self) -> None:
        """Initialise it once, and allow small plots. Raises PlotmanError where chia does not run."""
        settings = self.folder / "root" / "config" / "config.yaml"
        if not settings.exists():
            self._run([str(self.program), "init"])
        text = settings.read_text(encoding="utf-8")
        # Its command line refuses plots below this size, and --override-k is only for k25 and more.
        allowed, found = _MIN_K_SETTING.subn(f"min_mainnet_k_size: {MIN_K}", text)
        if not found:
            raise PlotmanError(
                f"{settings} has no min_mainnet_k_size: this chia is newer than we know.",
                "Install chia-blockchain 2.7 into .venv-chia.",
            )
        if allowed != text:
            settings.write_text(allowed, encoding="utf-8")
        self._write_wrapper()

    def new_keys(self) -> Keys:
        """Valid keys for plots that are thrown away: made at random, their secret halves forgotten."""
        farmer, pool = self._run([str(self.program.with_name("python")), "-c", _KEYS]).split()
        return Keys(farmer, pool)

    def _write_wrapper(self) -> None:
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in self._variables.items())
        self.wrapper.parent.mkdir(parents=True, exist_ok=True)
        self.wrapper.write_text(
            f'#!/bin/sh\nexport {variables}\nexec {shlex.quote(str(self.program))} "$@"\n', encoding="utf-8"
        )
        self.wrapper.chmod(0o755)

    def _run(self, argv: list[str]) -> str:
        environment = {**os.environ, **self._variables}
        try:
            done = subprocess.run(
                argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise PlotmanError(
                f"`{shlex.join(argv[:2])}` failed: {said.strip()[-500:]}", "Run ./deploy/quickstart again."
            ) from error
        return done.stdout
