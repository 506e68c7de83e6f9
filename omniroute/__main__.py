"""`python -m omniroute` is the command line."""

from omniroute.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
