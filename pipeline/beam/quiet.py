"""Silences messages from libraries that tell the user of the command nothing."""

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Filter the messages of Beam, Pillow and gRPC that are no use to the user of the command.

    Call it when a process of the command starts, before Beam is imported.
    """
    # Beam warns during its import that a BigQuery client is missing. Nothing here needs one.
    logging.getLogger().addFilter(_is_useful)
    # Beam translates a glob with an escaped bracket into a regular expression that Python warns
    # about. The expression is right.
    warnings.filterwarnings("ignore", "Possible nested set", FutureWarning)
    # Pillow warns about very large images, which are refused a moment later, and about damaged
    # metadata.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # gRPC writes to standard error when worker processes are started while its threads run.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _is_useful(record: logging.LogRecord) -> bool:
    return "apitools not found" not in str(record.msg)
