"""What orthogonalized changes cost: milliseconds of a whole training step, alone and with `qgd.Orthogonal`.

    python bench/orthogonal_seconds.py [--device cuda] [--widths 64,256,1024] [--batches 32,256,1024]

The net has three weight matrices of width x width between 64 inputs and 10 classes. Both are timed in turns, and the median
of the rounds counts.
"""

import argparse
import statistics
import time

import torch

import qgd


class Training:
    def __init__(self, width, batch, is_turned, device):
        torch.manual_seed(0)
        sizes = [64, *[width] * 4]
        layers = [part for a, b in zip(sizes, sizes[1:]) for part in (torch.nn.Linear(a, b), torch.nn.ReLU())]
        self.model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 10)).to(device)
        opt = torch.optim.AdamW(self.model.parameters(), lr=1e-4)
        self.opt = qgd.Orthogonal(opt) if is_turned else opt
        self.x, self.y = torch.randn(batch, 64, device=device), torch.randint(10, (batch,), device=device)

    def step(self):
        torch.nn.functional.cross_entropy(self.model(self.x), self.y).backward()
        self.opt.step()
        self.opt.zero_grad()

    def milliseconds(self, seconds):
        """Mean over as many steps as fit into the time."""
        synchronize = torch.cuda.synchronize if self.x.is_cuda else lambda: None
        synchronize()
        begun, steps = time.perf_counter(), 0
        while steps < 3 or time.perf_counter() - begun < seconds:
            self.step()
            steps += 1
            if steps % 8 == 0:
                synchronize()
        synchronize()
        return (time.perf_counter() - begun) / steps * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--widths", default="64,256,1024")
    parser.add_argument("--batches", default="32,256,1024")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each round")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{args.device}, {args.threads} thread(s), AdamW; ms a step\n{'width':>6}{'batch':>7}{'alone':>10}{'turned':>10}{'times':>8}")
    for width in map(int, args.widths.split(",")):
        for batch in map(int, args.batches.split(",")):
            pair = [Training(width, batch, is_turned, args.device) for is_turned in (False, True)]
            for training in pair:
                training.milliseconds(0)
            rounds = [[training.milliseconds(args.seconds) for training in pair] for _ in range(args.rounds)]
            alone, turned = (statistics.median(times) for times in zip(*rounds))
            print(f"{width:6}{batch:7}{alone:10.2f}{turned:10.2f}{turned / alone:8.2f}", flush=True)


if __name__ == "__main__":
    main()
