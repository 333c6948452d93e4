# Sets up what plotman needs, below the checkout; sourced by deploy/quickstart, deploy/test and deploy/check.
# Each step looks first whether it is done already, so that a second run takes no time.
# shellcheck shell=bash

export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

CHIA_REQUIREMENT='chia-blockchain>=2.7.5,<2.8'

say() { printf '%s\n' "$*" >&2; }

# can_install: whether this user may install packages with apt.
can_install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }
}

# apt_install PACKAGE...: with apt; without the right to, says what to install and fails.
apt_install() {
  if ! can_install; then
    say "Missing here: $*. Install it (on Debian: apt-get install $*) and run this again."
    return 1
  fi
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  say "Installing $* ..."
  # A list of packages that is older than the mirror names files that are gone.
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need PROGRAM PACKAGE [PROGRAM PACKAGE]...: install what is not there.
need() {
  local missing=()
  while [ $# -gt 1 ]; do
    # ip and the like are in /usr/sbin, which is not on every user's PATH.
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

# without_daemons COMMAND...: packages that it installs do not start their daemons meanwhile (invoke-rc.d(8)).
without_daemons() {
  local policy=/usr/sbin/policy-rc.d status=0 as_root=()
  # Debian's container images have one that forbids it already.
  if [ -e $policy ] || ! can_install; then
    "$@"
    return
  fi
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
  "${as_root[@]}" chmod 755 $policy
  "$@" || status=$?
  "${as_root[@]}" rm -f $policy
  return $status
}

# find_python: prints the first Python that is new enough.
find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  say "Python 3.11 or newer is needed (on Debian 12: apt-get install python3 python3-venv)."
  return 1
}

# new_venv FOLDER: an empty virtual environment, unless a working one is there.
new_venv() {
  "$1/bin/python" -m pip --version >/dev/null 2>&1 && return
  local python
  python=$(find_python)
  # Debian keeps the part of venv that installs pip in a package of its own.
  "$python" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
  say "Creating $1 ..."
  "$python" -m venv --clear "$1"
}

# pip_install FOLDER NAME REQUIREMENT...: into FOLDER's environment, unless the same was installed before.
# NAME keeps the stamps of several installs in one environment apart.
pip_install() {
  local folder=$1 name=$2
  shift 2
  local stamp="$folder/.installed-$name" state
  state=$(printf '%s\n' "$PWD" "$@" | cat - pyproject.toml | sha256sum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ] && return
  say "Installing $* into $folder ..."
  # Build tools warn of much that is none of a farmer's business.
  "$folder/bin/python" -m pip install --quiet "$@" >"$folder/install.log" 2>&1 || {
    cat "$folder/install.log" >&2
    return 1
  }
  printf '%s\n' "$state" >"$stamp"
}

# set_up_plotman EXTRAS: plotman itself, from this checkout.
set_up_plotman() {
  new_venv .venv
  pip_install .venv "plotman-$1" -e ".[$1]"
}

# set_up_chia: the official plotter, in an environment of its own because it pins what it uses.
set_up_chia() {
  new_venv .venv-chia
  pip_install .venv-chia chia "$CHIA_REQUIREMENT"
}

# own_process_table: sets `alone`, a command prefix that gives tests a process table of their own where this is
# allowed. They then neither see nor touch plotters of this machine, and leave no process behind.
own_process_table() {
  # shellcheck disable=SC2016
  alone=(unshare --pid --fork --mount-proc --kill-child bash -c '"$@"; exit $?' bash)
  "${alone[@]}" true 2>/dev/null || alone=()
}
