# PYTHON_ARGCOMPLETE_OK
"""The command line: `python run_bench.py --methods cf2n fusionnet --dataset wv3`."""

try:
    from waldbench.bench.cli import main
except KeyboardInterrupt:  # Ctrl-C before anything has begun
    raise SystemExit(130) from None

if __name__ == "__main__":
    raise SystemExit(main())
