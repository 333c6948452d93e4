"""The program `plotman`, and `python -m plotman`.

Nothing is imported before `main`: Ctrl-C while Python imports the command line ends it without a traceback.
"""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from plotman.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)  # 128 + SIGINT, as shells do


if __name__ == "__main__":
    main()
