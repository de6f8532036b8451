"""A worker process of a run on this machine: Beam's worker, without output to the terminal.

Its log records go to the main process of the run, which shows them if the user asked for them.
"""

import logging
import os
import sys

from stylebeam.pipeline.beam.quiet import quiet_libraries
from stylebeam.pipeline.processes import end_with_parent


def main() -> None:
    """Run Beam's worker until the run is over."""
    # Beam's worker waits for ever for a run that ends while it starts.
    end_with_parent()
    quiet_libraries()
    # Where Beam's threads write tracebacks when the run ends before this process.
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # Without a handler, Beam's first log call during its import would set up one that writes to
    # the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
