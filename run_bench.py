# PYTHON_ARGCOMPLETE_OK
"""The command line: `python run_bench.py --methods cf2n fusionnet --dataset wv3`."""

from waldbench.bench.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
