"""A program that qgd can tune: it takes parameters and prints its result as JSON. See space.toml for the command."""

import argparse
import json
import math
import os

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.add_argument("--layers", type=int, required=True)
args = parser.parse_args()
skip = os.environ.get("QGD_PARAM_SKIP", "none")

loss = 1.0
for epoch in range(10):
    # Where a real program would train for an epoch.
    goal = 0.1 * (math.log10(args.lr) + 2) ** 2 + 0.05 * abs(args.layers - 2) + (0.0 if skip == "add" else 0.02)
    loss = goal + (loss - goal) * 0.6
    print(json.dumps({"step": epoch, "value": loss}), flush=True)  # lets a pruner stop it early

print(json.dumps({"value": loss}))
