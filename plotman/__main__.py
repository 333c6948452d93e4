"""`python -m plotman`."""

from plotman.cli import main

main()
