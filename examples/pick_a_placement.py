"""Pick a placement for a data set, then load the winner and classify images with it.

    python examples/pick_a_placement.py [DATA]

The backbone and the settings are small, and the learning rate is given, so that it ends within a
minute; leave them out for real use. Records go to `autoplace-store/` in the current directory.
"""

from __future__ import annotations

import sys

import torch

import autoplace
from autoplace.data import load_data


def main(data: str) -> None:
    """Run the main job, print what came of it, and use the model."""
    result = autoplace.pick(
        data, backbone="formula-vit6", field_size=4, top_k=1, seeds=1, epochs=1, probe_images=64,
        lr=0.01,
    )  # fmt: skip
    table = result.ranking[["placement", "role", "val_metric", "gain"]]
    print(table.to_string(index=False, max_colwidth=40))
    print(f"winner: {result.winner}, {result.metric} {result.tested['winner'].mean:.3f} on test")
    for baseline, interval in result.differences.items():
        print(
            f"winner - {baseline}: {interval.difference:+.3f}, "
            f"95 % interval {interval.low:+.3f} to {interval.high:+.3f}"
        )

    model = autoplace.load(result.run_id)  # an nn.Module; the folder `result.folder` will do, too
    images = load_data(data, transform=model.transform).test.load(range(8))
    with torch.inference_mode():
        predicted = model(images.images).argmax(dim=1)
    for label, guess in zip(images.labels, predicted, strict=True):
        print(f"is {model.classes[int(label)]}, predicted {model.classes[int(guess)]}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "builtin:digits")
    except autoplace.UserError as error:  # says what is wrong and what to do
        sys.exit(str(error))
