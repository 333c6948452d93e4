from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from common.errors import PlotmanError
from plotman.quickstart.chia import ChiaHome

# Does what `chia init` of chia-blockchain 2.7.5 does.
INIT = """#!/bin/sh
if [ "$1" = init ]; then
  mkdir -p "$CHIA_ROOT/config"
  echo called >> "$CHIA_ROOT/calls"
  printf 'min_mainnet_k_size: 32\\nother: 1\\n' > "$CHIA_ROOT/config/config.yaml"
else
  echo "$CHIA_ROOT|$CHIA_KEYS_ROOT|$*"
fi
"""


@pytest.fixture
def home(tmp_path: Path) -> ChiaHome:
    program = tmp_path / "bin" / "chia"
    program.parent.mkdir()
    program.write_text(INIT)
    program.chmod(0o755)
    return ChiaHome(program, tmp_path / "it's chia")


def test_small_plots_are_allowed_and_chia_is_initialised_once(home: ChiaHome) -> None:
    home.prepare()
    home.prepare()
    root = home.folder / "root"
    assert (root / "config/config.yaml").read_text() == "min_mainnet_k_size: 18\nother: 1\n"
    assert (root / "calls").read_text() == "called\n"


def test_the_wrapper_sets_the_folders_of_the_farm(home: ChiaHome) -> None:
    home.prepare()
    output = subprocess.run([home.wrapper, "plots", "a b"], capture_output=True, text=True, check=True).stdout
    assert output == f"{home.folder}/root|{home.folder}/keys|plots a b\n"


def test_a_chia_whose_settings_changed_is_refused(home: ChiaHome) -> None:
    home.prepare()
    (home.folder / "root/config/config.yaml").write_text("other: 1\n")
    with pytest.raises(PlotmanError, match="no min_mainnet_k_size"):
        home.prepare()


def test_the_error_of_a_chia_that_does_not_run_is_shown(home: ChiaHome) -> None:
    home.program.write_text("#!/bin/sh\necho out of luck >&2; exit 1\n")
    with pytest.raises(PlotmanError, match="out of luck"):
        home.prepare()


def test_a_program_that_is_no_chia_is_named(home: ChiaHome) -> None:
    home.program.write_text("#!/bin/sh\n")
    with pytest.raises(PlotmanError, match=f"{home.program} init` made no settings .* it is no chia"):
        home.prepare()
