"""`python -m qgd`: the program `qgd`, which was installed together with this package."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path


def find_program() -> str:
    """Path of the program: where the scripts of this package are, else anywhere on the path."""
    name = "qgd.exe" if os.name == "nt" else "qgd"
    users = [scheme for scheme in sysconfig.get_scheme_names() if scheme.endswith("_user")]
    folders = [sysconfig.get_path("scripts"), *(sysconfig.get_path("scripts", scheme) for scheme in users)]
    # With `pip install --target FOLDER` the scripts are in FOLDER/bin.
    folders.append(str(Path(__file__).resolve().parent.parent / "bin"))
    for folder in folders:
        if os.access(os.path.join(folder, name), os.X_OK):
            return os.path.join(folder, name)
    found = shutil.which(name)
    if found is None:
        sys.exit(f"qgd: the program is not in {folders[0]}; install the package from a wheel: pip install qgd")
    return found


def main() -> None:
    """Becomes the program; where a process cannot (Windows), waits for it."""
    command = [find_program(), *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.run(command).returncode)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
