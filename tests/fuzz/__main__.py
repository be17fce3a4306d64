"""The long campaign: `python -m tests.fuzz`; exit code 1 if any case ends in a traceback, a hang or a wrong image."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from pathlib import Path

from tests.fuzz import campaign
from tests.fuzz.cases import Result
from tests.fuzz.subjects import table

BAD = ("traceback", "hang", "wrong")


def main() -> int:
    """Run the campaign, print failures as they come and the counts at the end."""
    options = _options()
    names = [options.repeat] if options.repeat else campaign.cases(options.seed, options.subjects, options.cases)
    print(f"seed {options.seed}, {len(names)} cases: {', '.join(options.subjects)}", flush=True)
    results: list[Result] = []
    for result in campaign.run(names, options.workers):
        results.append(result)
        if result.verdict in BAD or options.repeat:
            print(f"{result.verdict}: {result.case} ({result.damage}): {_last(result)}", flush=True)
        if options.repeat:
            print(result.details)
    print(campaign.summary(results))
    kinds = Counter(f"{result.case.split('/')[1]}: {_last(result)[:110]}" for result in results if result.verdict in BAD)
    for kind, count in kinds.most_common(40):
        print(f"{count:6d}  {kind}")
    if options.log:
        options.log.write_text("\n".join(f"{r.verdict}\t{r.case}\t{r.damage!r}\t{_last(r)!r}" for r in results))
    return int(bool(kinds))


def _last(result: Result) -> str:
    lines = [line.strip() for line in result.details.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--workers", type=int, default=1, help="processes at a time")
    parser.add_argument("--subjects", nargs="+", default=sorted(table()), choices=sorted(table()))
    parser.add_argument("--repeat", metavar="SEED/SUBJECT/NUMBER", help="run one case again and print all of its traceback")
    parser.add_argument("--log", type=Path, help="file for one line a case")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
