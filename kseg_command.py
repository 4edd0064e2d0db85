"""The command `kseg`: that this module is there tells kseg to import its parts only when a verb needs them."""

from kseg.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
