"""``python -m kseg``: the same as the command ``kseg``."""

from kseg.cli.main import main

raise SystemExit(main())
