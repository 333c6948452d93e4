"""The official chia plotter, prepared for small plots. All its files lie below the farm's folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from common.errors import PlotmanError

MIN_K, MAX_K = 18, 32  # chiapos 2.0.12 makes no smaller plots
_MIN_K_SETTING = re.compile(r"^min_mainnet_k_size: \d+$", re.MULTILINE)  # chia-blockchain 2.7.5
_KEYS = """
import secrets
from chia_rs import AugSchemeMPL
for _ in range(2):
    print(AugSchemeMPL.key_gen(secrets.token_bytes(32)).get_g1())
"""


@dataclass(frozen=True)
class Keys:
    """Public keys, 96 hexadecimal digits each. Their secret halves are not kept."""

    farmer: str
    pool: str


@dataclass(frozen=True)
class ChiaHome:
    """program: chia as installed in a virtual environment. folder: for its files."""

    program: Path
    folder: Path

    @property
    def wrapper(self) -> Path:
        """Program for plotman.yaml: a script that sets chia's folders and runs it."""
        return self.folder / "bin" / "chia"

    @property
    def _variables(self) -> dict[str, str]:
        return {"CHIA_ROOT": str(self.folder / "root"), "CHIA_KEYS_ROOT": str(self.folder / "keys")}

    def prepare(self) -> None:
        """Initialise chia once and allow small plots. Raises PlotmanError if chia does not run."""
        settings = self.folder / "root" / "config" / "config.yaml"
        if not settings.exists():
            self._run([str(self.program), "init"])
        if not settings.exists():
            raise PlotmanError(
                f"`{self.program} init` made no settings ({settings}): it is no chia.",
                "Name the program of chia-blockchain 2.7.",
            )
        text = settings.read_text(encoding="utf-8")
        # chia refuses smaller plots; its --override-k works from k25 on only.
        allowed, found = _MIN_K_SETTING.subn(f"min_mainnet_k_size: {MIN_K}", text)
        if not found:
            raise PlotmanError(
                f"{settings} has no min_mainnet_k_size: this release of chia is not supported.",
                "Install chia-blockchain 2.7 into .venv-chia.",
            )
        if allowed != text:
            settings.write_text(allowed, encoding="utf-8")
        self._write_wrapper()

    def new_keys(self) -> Keys:
        """Random valid keys, for plots that are thrown away."""
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
            output = getattr(error, "stderr", None) or str(error)
            raise PlotmanError(
                f"`{shlex.join(argv[:2])}` failed: {output.strip()[-500:]}", "Run ./deploy/quickstart again."
            ) from error
        return done.stdout
