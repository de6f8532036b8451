"""Decides what to do with one image: where its output goes, and whether it is up to date."""

import dataclasses
import posixpath
from collections.abc import Mapping

from stylebeam.pipeline import storage
from stylebeam.pipeline.archive.names import to_record
from stylebeam.pipeline.archive.records import Outcome, Recipe, Task
from stylebeam.pipeline.archive.results import Overwrite, Result, has_old_stamp, stamp
from stylebeam.transforms.images.formats import EXTENSION_OF_FORMAT, FORMAT_OF_EXTENSION


def task_for(
    path: str,
    relative: str,
    version: str,
    *,
    batch: str,
    output: str,
    image_format: str,
    recipes: Mapping[str, Recipe],
    keep_time: bool = False,
) -> Task:
    """Return the task for an image.

    Args:
        path: the image's path or URI.
        relative: its path relative to the input's folder, which the output mirrors.
        version: of the file: it changes with the contents.
        batch: the batch's name.
        output: the batch's output folder.
        image_format: the file format of outputs; "same" for the input's.
        recipes: the batch's recipe for each file format.
        keep_time: whether the output gets the image's time of last change.
    """
    stem, extension = posixpath.splitext(relative)
    if image_format == "same":
        image_format = FORMAT_OF_EXTENSION[extension.lower()]
    else:
        extension = EXTENSION_OF_FORMAT[image_format]
    recipe = recipes[image_format]
    source = relative if storage.is_remote(path) else to_record(relative)
    return Task(
        batch=batch,
        input=path,
        output=storage.join(output, stem + extension),
        recipe=recipe.digest,
        folder=output,
        stamp=stamp(recipe.digest, source, version),
        style=recipe.options.style,
        keep_time=keep_time,
    )


def decide(task: Task, version: str, result: Result | None, overwrite: Overwrite) -> Task | Outcome:
    """Return the task if it must be done, else its outcome.

    Args:
        task: what could be done.
        version: of the input.
        result: what exists in the place of its output.
        overwrite: what to do with outputs that exist.
    """
    if result is None:
        return task
    up_to_date = result.ours and (
        result.stamp == task.stamp or has_old_stamp(result, task.recipe, task.input, version)
    )
    if overwrite == "never" or (overwrite == "changed" and up_to_date):
        return task.outcome("skipped", 0.0, digest=result.digest)
    if overwrite == "changed" and not result.ours:
        return task.outcome(
            "failed",
            0.0,
            error=f"{task.output} exists already and was not written by a run, or was changed"
            " since: it is left as it is. Move it away, or set overwrite: always.",
        )
    return dataclasses.replace(task, replaces=result.version)
