"""The data pipeline: a config in, a stylised archive out, by way of Apache Beam."""

import logging

# While it is imported, Beam warns that a client for BigQuery is missing; nothing here uses one.
logging.getLogger().addFilter(lambda record: "apitools not found" not in str(record.msg))
