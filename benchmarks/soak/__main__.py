"""Runs the command in a storm of faults, and checks after each run that nothing is lost or wrong.

python -m benchmarks.soak --seed 1 --minutes 60 --storage disk --work FOLDER
"""

import argparse
import itertools
import signal
import sys
import time
from pathlib import Path

from benchmarks.soak.references import References
from benchmarks.soak.storages import STORAGES
from benchmarks.soak.storm import FAULTS, Storm
from benchmarks.soak.table import Table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=1, help="of all that is random")
    parser.add_argument("--minutes", type=float, help="start no round after this time")
    parser.add_argument("--rounds", type=int, help="end after this many rounds")
    parser.add_argument("--storage", choices=list(STORAGES), default="disk")
    parser.add_argument("--work", type=Path, required=True, help="a new folder for all files")
    parser.add_argument("--photos", type=int, default=300, help="the archive grows to this many")
    parser.add_argument("--limit", type=float, default=240, help="seconds in which a run must end")
    parser.add_argument(
        "--without",
        type=lambda text: text.split(","),
        default=[],
        help=f"faults to leave out, with commas between them: {', '.join(FAULTS)}",
    )
    args = parser.parse_args()
    if unknown := set(args.without) - set(FAULTS):
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    if args.minutes is None and args.rounds is None:
        parser.error("give --minutes, --rounds or both")
    return args


def main() -> int:
    """Run the storm, print its table, and return 1 if there is any finding."""
    args = _arguments()
    for each in (signal.SIGINT, signal.SIGTERM):
        # A shell lets its background jobs ignore SIGINT, which runs would inherit.
        signal.signal(each, signal.default_int_handler)
    args.work = args.work.resolve()
    args.work.mkdir(parents=True)
    repeat = f"python -m benchmarks.soak --seed {args.seed} --storage {args.storage}"
    if args.without:
        repeat += f" --without {','.join(args.without)}"
    table = Table(repeat)
    end = time.monotonic() + 60 * args.minutes if args.minutes else None
    references = References(args.work / "references")
    try:
        with STORAGES[args.storage](args.work) as place:
            options = (args.seed, args.without, args.photos, args.limit)
            storm = Storm(args.work, place, references, *options, table)
            for number in itertools.count(1):
                if (args.rounds and number > args.rounds) or (end and time.monotonic() > end):
                    break
                print(storm.round(number), flush=True)
    except KeyboardInterrupt:
        print("Stopped by a signal.")
    finally:
        references.close()
        print("", *table.lines(), sep="\n")
    return 1 if table.found else 0


if __name__ == "__main__":
    sys.exit(main())
