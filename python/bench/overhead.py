"""What a controlled step costs beside the bare optimizer: time of a step and memory, in turns in one run.

    python bench/overhead.py [--steps 600] [--rounds 3] [--device cpu] [--only transformer]
"""

import argparse
import statistics
import time

import torch

import qgd


class Transformer(torch.nn.Module):
    """A decoder of about a million parameters on 64 characters."""

    def __init__(self, width=144, heads=4, layers=4, length=64, characters=65):
        super().__init__()
        self.embed = torch.nn.Embedding(characters, width)
        self.places = torch.nn.Parameter(torch.zeros(length, width))
        layer = torch.nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = torch.nn.Linear(width, characters)
        self.mask = torch.nn.Buffer(torch.nn.Transformer.generate_square_subsequent_mask(length), persistent=False)

    def forward(self, x):
        return self.head(self.layers(self.embed(x) + self.places, mask=self.mask, is_causal=True))


def transformer(device):
    net = Transformer().to(device)
    x = torch.randint(0, 65, (16, 65), device=device)
    return net, lambda: torch.nn.functional.cross_entropy(net(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())


def cnn(device):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(16, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 49, 10),
    ).to(device)
    x, y = torch.randn(64, 1, 28, 28, device=device), torch.randint(0, 10, (64,), device=device)
    return net, lambda: torch.nn.functional.cross_entropy(net(x), y)


WAYS = {
    "bare": None,
    "qgd": {},
    "qgd, parameters alone": {"rollback": "parameters"},
    "qgd, no rollback": {"rollback": False},
}


class Run:
    """One net under one way to step it."""

    def __init__(self, problem, way, device):
        torch.manual_seed(0)
        self.net, self.loss = problem(device)
        base = torch.optim.AdamW(self.net.parameters(), lr=1e-4, fused=False, foreach=True)
        # No move is wanted here: all ways shall do the same arithmetic.
        self.opt = base if way is None else qgd.QController(base, "lr", model=self.net, lr_bounds=(1e-4, 1e-4), **way)
        self.controlled = way is not None
        self.device = device

    def seconds(self, n_steps):
        """Seconds of a step, forward and backward included; and of opt.step() alone."""
        self.wait()
        start, stepping = time.perf_counter(), 0.0
        for _ in range(n_steps):
            self.opt.zero_grad()
            loss = self.loss()
            loss.backward()
            before = time.perf_counter()
            self.opt.step(loss=loss) if self.controlled else self.opt.step()
            stepping += time.perf_counter() - before
        self.wait()
        return (time.perf_counter() - start) / n_steps, stepping / n_steps

    def wait(self):
        if self.device != "cpu":
            torch.accelerator.synchronize()


def kept_bytes(opt):
    """Bytes of what a controlled optimizer keeps to go back to."""
    snapshots = [one for one in (getattr(opt, "_kept", None), getattr(opt, "_first", None)) if one is not None]
    return sum(snapshot.n_bytes() for snapshot in snapshots)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="steps of a run (default 600)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds after the probing, in turns (default 3)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", default="", help="the problem of this name alone: transformer, or cnn")
    args = parser.parse_args()
    problems = {"transformer, batch 16": transformer, "cnn, batch 64": cnn}
    for name, problem in ((name, problem) for name, problem in problems.items() if name.startswith(args.only)):
        runs = {way: Run(problem, options, args.device) for way, options in WAYS.items()}
        n_params = sum(p.numel() for p in runs["bare"].net.parameters())
        print(f"{name}: {n_params:,} parameters, {torch.get_num_threads()} threads, {args.device}")
        print(f"  {'':24}{'probing':>12}{'after it':>12}{'step() alone':>15}{'over bare':>11}{'kept':>10}")
        probing = {way: run.seconds(64)[0] for way, run in runs.items()}
        block = max(1, (args.steps - 64) // args.rounds // 8)
        times = {way: [] for way in runs}
        for _ in range(args.rounds * 8):
            for way, run in runs.items():
                times[way].append(run.seconds(block))
        bare = [whole for whole, _ in times["bare"]]
        for way, run in runs.items():
            whole = [seconds for seconds, _ in times[way]]
            over = statistics.median(a / b for a, b in zip(whole, bare)) - 1.0
            alone = statistics.median(alone for _, alone in times[way])
            print(
                f"  {way:24}{probing[way] * 1e3:>9.2f} ms{statistics.median(whole) * 1e3:>9.2f} ms{alone * 1e3:>12.3f} ms"
                f"{over:>10.1%}{kept_bytes(run.opt) / 1e6:>7.1f} MB"
            )


if __name__ == "__main__":
    main()
