"""How far a leaderboard ranks methods as the literature does: Spearman's correlation with published WorldView-3 numbers.

    python run_bench.py --dataset wv3 --weights zoo --methods exp mtf-glp-fs tv bdsd-pc pnn pannet dicnn fusionnet lagconv
    python examples/rank_agreement.py results/leaderboard.csv

The published numbers (means over the 20 reduced-resolution test images of PanCollection) stand with their source in
published_wv3.csv. They are no target here: the simulated twin shows other images, and its networks train for a short time only.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
from scipy import stats

PUBLISHED = Path(__file__).with_name("published_wv3.csv")


def agreement(leaderboard: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each index over the methods that both tables have.

    Args:
        leaderboard: rows of one dataset and protocol, columns `method` and `reduced_<index>_mean`.
        published: columns `method` and one for each index.

    Returns:
        One row an index: methods, spearman (-1 to 1), p.

    Raises:
        ValueError: if a method stands twice in the leaderboard, or fewer than three methods stand in both.
    """
    ours = leaderboard.assign(method=leaderboard["method"].str.partition("@")[0])
    if ours["method"].duplicated().any():
        raise ValueError("a method stands twice in the leaderboard; give one protocol, one dataset and one set of weights")
    both = published.merge(ours, on="method")
    if len(both) < 3:
        raise ValueError(f"{len(both)} methods stand in both tables; at least 3 are needed")
    rows = []
    for index in ("ergas", "sam", "q2n"):
        result = stats.spearmanr(both[index], both[f"reduced_{index}_mean"])
        rows.append({"index": index, "methods": len(both), "spearman": result.statistic, "p": result.pvalue})
    return pd.DataFrame(rows)


def main() -> int:
    """Print the table for the leaderboard named on the command line."""
    if len(sys.argv) != 2:
        print("expected: rank_agreement.py LEADERBOARD.csv", file=sys.stderr)
        return 2
    leaderboard = pd.read_csv(sys.argv[1])
    leaderboard = leaderboard[(leaderboard["sensor"] == "wv3") & (leaderboard["status"] == "ok")]
    print(agreement(leaderboard, pd.read_csv(PUBLISHED)).round(3).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
