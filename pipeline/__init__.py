"""The data pipeline: reads a config and writes a stylized archive, as an Apache Beam pipeline."""
