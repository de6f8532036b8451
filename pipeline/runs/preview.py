"""Contact sheets that show, before a run, what photos will look like."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from stylebeam.pipeline.beam.model_handler import StylizeModelHandler
from stylebeam.pipeline.config.run_config import RunOptions
from stylebeam.pipeline.methods.contract import Resolved
from stylebeam.pipeline.methods.pool import EnginePool
from stylebeam.pipeline.runs.excerpts import Excerpt, Excerpts, excerpts, middle
from stylebeam.pipeline.runs.planning import BatchPlan, recipes_of
from stylebeam.transforms.checkpoints import parse_checkpoint, shipped_checkpoints
from stylebeam.transforms.images.contact_sheet import contact_sheet
from stylebeam.transforms.images.photo import Photo
from stylebeam.transforms.images.pixels import to_depth
from stylebeam.transforms.inference.feed_forward import FeedForwardStylizer
from stylebeam.transforms.losses.vgg_normalization import reference_photos

_PHOTOS = 4
_EXCERPT_SIDE, _SHOWN_SIDE = 2048, 384  # pixels
_NOTHING = Image.new("RGB", (1, 1), "white")


def preview_sheet(
    run_options: RunOptions,
    plans: Sequence[BatchPlan],
    tried: Callable[[BatchPlan, Excerpts], None] = lambda *_: None,
) -> Image.Image | None:
    """Return what the middles of a few photos of each batch will look like, at full resolution.

    Args:
        run_options: the config's options of the run as a whole.
        plans: the batches.
        tried: receives each batch with the photos that were tried.

    Returns:
        A row for each batch: each photo beside its result. None if there is no photo to show.

    Raises:
        StorageError: an input or an output cannot be listed.
        StylizationError: a photo cannot be stylized.
    """
    handler = StylizeModelHandler(
        recipes_of(plans),
        run_options.device,
        run_options.max_pixels,
        memory=run_options.memory_in_bytes,
    )
    pool = handler.load_model()
    rows = []
    for each in plans:
        method = each.options
        few = excerpts(each, _PHOTOS, _EXCERPT_SIDE, run_options.max_pixels)
        tried(each, few)
        show = partial(_before_and_after, method=method, pool=pool)
        with ThreadPoolExecutor(_PHOTOS) as threads:
            rows.append(list(chain(*threads.map(show, few.found))))
    if not any(rows):
        return None
    longest = max(map(len, rows))
    rows = [[*row, *[_NOTHING] * (longest - len(row))] for row in rows]
    labels = [f"{each.batch.name}: {each.batch.method} {each.batch.options}" for each in plans]
    return contact_sheet(rows, labels, ["photo", "result"] * (longest // 2), "")


def sample_photographs() -> list[Tensor]:
    """Return six photographs that are shipped, RGB, uint8, of shape (3, 256, 256)."""
    together = (reference_photos()[0] * 255).round().to(torch.uint8)
    return [each for row in together.split(256, 1) for each in row.split(256, 2)]


def styles_sheet(photos: Sequence[Tensor], device: torch.device) -> Image.Image:
    """Return photos in every style that is shipped.

    Args:
        photos: RGB, uint8, of any shape (3, H, W).
        device: where to compute.

    Returns:
        A row for each style, below one for the photos themselves.
    """
    rows = [[_image(pixels) for pixels in photos]]
    labels = ["photo"]
    for path in shipped_checkpoints():
        checkpoint = parse_checkpoint(path.read_bytes())
        if not checkpoint.styles:
            continue
        stylizer = FeedForwardStylizer(checkpoint, device)
        for name in checkpoint.styles:
            labels.append(name)
            rows.append([_image(stylizer.stylize(each, styles={name: 1.0})) for each in photos])
    return contact_sheet(rows, labels, [""] * len(photos), "Shipped styles")


def _before_and_after(
    excerpt: Excerpt, method: Resolved, pool: EnginePool
) -> tuple[Image.Image, Image.Image]:
    """Return the middle of a photo, and of its result."""
    scale = excerpt.scale(method.short_side)
    before = excerpt.pixels
    if not method.needs_surroundings:
        before = middle(before, round(_SHOWN_SIDE / scale))
    if scale < 1:
        method = method.at_short_side(round(scale * min(before.shape[1:])))
    after = pool.stylize(Photo(before), method.for_preview()).pixels
    enlargement = after.shape[1] // before.shape[1]
    return (
        _image(middle(before, _SHOWN_SIDE // enlargement)),
        _image(middle(after, _SHOWN_SIDE)),
    )


def _image(pixels: Tensor) -> Image.Image:
    image: Image.Image = to_pil_image(to_depth(pixels, torch.uint8))
    return image
