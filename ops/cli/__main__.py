"""Runs the command line: ``python -m ops.cli``."""

from ops.cli.program import main

if __name__ == "__main__":
    main()
