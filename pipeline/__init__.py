"""The data pipeline: a config in, a stylised archive out, by way of Apache Beam."""

import logging
import os
import warnings

# While it is imported, Beam warns that a client for BigQuery is missing; nothing here uses one.
logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
# Of Beam's translation of a glob with an escaped bracket, which is right.
warnings.filterwarnings("ignore", "Possible nested set", FutureWarning)
# Of Pillow, for images too large, which are refused a moment later, and for damaged metadata.
warnings.filterwarnings("ignore", module=r"PIL\.")
# gRPC says on standard error when worker processes are started beside its threads.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
