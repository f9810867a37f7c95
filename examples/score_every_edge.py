"""Score every place that an adapter can take, without training, and draw a map of the scores.

    python examples/score_every_edge.py [DATA]

Writes `probe.png` and the tables to `probe-of-every-edge/` in the current directory.
"""

from __future__ import annotations

import sys

import autoplace
from autoplace.placement import Edge


def main(data: str) -> None:
    """Probe, print the best places by two criteria, and write tables and maps."""
    probed = autoplace.probe(data, probe_images=64)
    edges = probed.edges  # a data frame with one row per edge
    edges["edge"] = [str(Edge(i, j)) for i, j in edges[["source", "target"]].to_numpy()]
    shown = ["edge", "kind", "gradient_rank", "snr", "predicted"]
    print(f"{len(edges)} edges of {probed.task.name}, best by predicted gain:")
    print(edges[shown].head(5).to_string(index=False))
    print("best by gradient rank, the criterion of the paper:")
    print(edges.nlargest(5, "gradient_rank")[shown].to_string(index=False))
    best = edges.groupby("kind")["predicted"].max().sort_values(ascending=False)
    print("best predicted gain of each kind of edge:")
    print(best.to_string())
    print(f"maps and tables are in {probed.write('probe-of-every-edge')}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "builtin:digits")
    except autoplace.UserError as error:  # says what is wrong and what to do
        sys.exit(str(error))
