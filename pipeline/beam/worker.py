"""A worker process of a run on this machine: Beam's own, but it leaves the terminal to the run.

What it logs goes to the run's process, which shows it if it is asked to.
"""

import logging
import sys


def main() -> None:
    """Work until the run is over."""
    # Else the first import of Beam's that logs sets up a handler which writes to the terminal.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main  # noqa: PLC0415

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
