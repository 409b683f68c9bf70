"""`python -m woollama ARGS` is `woollama ARGS`."""

from woollama.cli import main

raise SystemExit(main())
