"""Runs workers of a study on a Ray cluster.

    qgd tune space.toml --storage $STORE --lag 50 --trials 0 -- python train.py --lr {lr}       # makes the study
    python on_ray.py --workers 50 -- qgd worker --storage $STORE --study space --trials 500 -- python train.py --lr {lr}

Every node needs `qgd` and the program: in an image, on a shared disk, or in the folder that --ship sends along. A worker
whose node dies is started again on another one, and the trial that it had is tried again when its heartbeat has been
missing for a while. RAY_ADDRESS names the cluster; without it Ray starts on this machine alone.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys

import ray

PR_SET_PDEATHSIG = 1


def end_with_parent():
    """Asks Linux to end this process (the worker) when the Ray process dies: it gives its trial back then."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


# A node may die as often as it likes; `qgd` itself fails only where trying again would fail too.
@ray.remote(max_retries=-1)
def work(command, cuda_devices):
    environment = dict(os.environ)
    if not cuda_devices:
        # Ray hides the GPUs from tasks that ask for none.
        environment.pop("CUDA_VISIBLE_DEVICES", None)
    return subprocess.run(command, env=environment, preexec_fn=end_with_parent).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, required=True, help="number of workers; the lag of the study must be as large")
    parser.add_argument("--cpus", type=float, default=1, help="CPUs for each worker")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs for each worker")
    parser.add_argument("--ship", metavar="FOLDER", help="folder that is sent to every node, where the workers run then")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="qgd worker ... -- PROGRAM ...")
    args = parser.parse_args()
    ray.init(runtime_env={"working_dir": args.ship} if args.ship else None)
    task = work.options(num_cpus=args.cpus, num_gpus=args.gpus, scheduling_strategy="SPREAD")
    codes = ray.get([task.remote(args.command, args.gpus > 0) for _ in range(args.workers)])
    print(f"{codes.count(0)} of {len(codes)} workers ended well")
    sys.exit(max(codes, key=abs))


if __name__ == "__main__":
    main()
