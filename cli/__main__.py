"""`python -m cli`, the same as `pipemirror`."""

from cli.main import main

main()
