"""An example pipeline that stylizes images in one of its steps: python own_pipeline.py IN OUT."""

import sys
from pathlib import Path

import apache_beam as beam

from stylebeam.pipeline import StylizeImages


def main(photos: Path, output: Path) -> None:
    """Stylize the photos of a folder, and list those that failed in `failures.txt`."""
    output.mkdir(parents=True, exist_ok=True)
    with beam.Pipeline("FnApiRunner") as pipeline:
        result = (
            pipeline
            | "Names" >> beam.Create(sorted(path.name for path in photos.iterdir()))
            | "Read" >> beam.Map(lambda name: (name, (photos / name).read_bytes()))
            | StylizeImages(style="starry_night", format="jpeg")
        )
        result.stylized | "Write" >> beam.MapTuple(
            lambda name, data: (output / f"{name}.jpg").write_bytes(data)
        )
        (
            result.failed
            | "Describe" >> beam.MapTuple(lambda name, reason: f"{name}: {reason}")
            | "List" >> beam.io.WriteToText(str(output / "failures.txt"), shard_name_template="")
        )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
