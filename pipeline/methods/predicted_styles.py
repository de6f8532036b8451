"""Styles that are predicted from paintings, and blended with those of a checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stylebeam.pipeline.methods.checkpoints import (
    CheckpointFile,
    check_names,
    read_checkpoint,
    read_unchanged,
    shipped_location,
)
from stylebeam.pipeline.methods.contract import MethodError
from stylebeam.pipeline.methods.refined_styles import refined_vector
from stylebeam.pipeline.methods.style_files import KnownFile, find_paintings, read_painting

if TYPE_CHECKING:
    from torch import Tensor

    from stylebeam.transforms.checkpoints import Checkpoint

NETWORK = "any_style"
"""The shipped checkpoint of the network for which styles are predicted."""

Shares = tuple[tuple[str, float], ...]
"""Names of styles and their parts in a blend, sorted by name, none of them 0."""


@dataclass(frozen=True)
class PredictedStyle:
    """A style predicted from paintings, or a blend with one, computed where a run is started.

    Workers receive the vector itself, so that all of them use the same numbers.

    Attributes:
        vector: the style's vector.
        sources: what it depends on beside the checkpoint and its styles, as plain values.
    """

    vector: tuple[float, ...]
    sources: Mapping[str, Any]

    def as_tensor(self) -> "Tensor":
        """Return the vector, shape (style_size,)."""
        import torch  # noqa: PLC0415

        return torch.tensor(self.vector)


def find_predictable(
    styles: Mapping[str, float], paintings: Mapping[str, float], checkpoint: str | None
) -> tuple[CheckpointFile, Shares]:
    """Return the checkpoint for which a blend is predicted, and the styles in it.

    Args:
        styles: a part of at least 0 for each name of a style in the checkpoint; may be empty.
        paintings: a part of at least 0 for each painting, not all of them 0.
        checkpoint: the path or URI of a checkpoint; None for the shipped one.

    Returns:
        The checkpoint; and the styles, whose parts and those of the paintings have the sum 1.

    Raises:
        MethodError: the checkpoint does not have such a style, cannot be used, or is of a network
            for which no style can be predicted.
    """
    from stylebeam.transforms.prediction.predict import (  # noqa: PLC0415
        load_predictor,
        network_digest,
    )

    location = checkpoint or shipped_location(NETWORK)
    held, digest = read_checkpoint(location)
    if network_digest(held) != load_predictor().network_digest:
        raise MethodError(
            f"{location} is of another network than the one for which styles can be predicted from"
            f" paintings: the shipped network {NETWORK}, also with styles that were added to it"
        )
    check_names(held, styles, location)
    total = sum(styles.values()) + sum(paintings.values())
    shares = tuple((name, part / total) for name, part in sorted(styles.items()) if part)
    return CheckpointFile(location, digest), shares


def predict_blend(
    checkpoint: CheckpointFile,
    styles: Shares,
    paintings: Mapping[str, float],
    seconds: float | None = None,
    photos: Sequence[KnownFile] = (),
) -> PredictedStyle:
    """Return the blend of the styles of paintings and of styles in a checkpoint.

    Args:
        checkpoint: from `find_predictable`.
        styles: from `find_predictable`.
        paintings: a part of at least 0 for each path or URI of a painting, not all of them 0.
        seconds: how long each predicted style is refined, about; None for not at all.
        photos: what it is refined on.

    Raises:
        MethodError: a painting or a photo cannot be read or decoded.
    """
    from stylebeam.transforms.prediction.predict import (  # noqa: PLC0415
        load_predictor,
        predict_style,
    )

    predictor = load_predictor()
    held = read_unchanged(checkpoint)
    sources: dict[str, Any] = {"paintings": [], "predictor": predictor.digest}
    if seconds is not None:
        sources["refined"] = [seconds, *(photo.digest for photo in photos)]
    terms = []
    rest = 1 - sum(share for _, share in styles)
    for file, part in find_paintings(paintings):
        painting = read_painting(file)
        vector = predict_style(predictor.network, painting)
        if seconds is not None:
            key = (checkpoint.digest, predictor.digest, file.digest, *sources["refined"])
            vector = refined_vector(key, held, vector, painting, photos, seconds)
        terms.append(rest * part * vector)
        sources["paintings"].append((file.digest, rest * part))
    terms += [share * held.styles[name].vector.float() for name, share in styles]
    return PredictedStyle(tuple(sum(terms[1:], start=terms[0]).tolist()), sources)


def predicted_checkpoint(
    painting: str, name: str, seconds: float | None = None, photos: Sequence[KnownFile] = ()
) -> "Checkpoint":
    """Return a checkpoint of the shipped network with the style of a painting as its only style.

    Args:
        painting: the path or URI of the painting.
        name: of the style.
        seconds: as in `predict_blend`.
        photos: as in `predict_blend`.

    Raises:
        MethodError: the painting or a photo cannot be read or decoded.
    """
    from dataclasses import replace  # noqa: PLC0415

    import torch  # noqa: PLC0415

    from stylebeam.transforms.checkpoints import Style  # noqa: PLC0415

    file, _ = find_predictable({}, {painting: 1.0}, None)
    predicted = predict_blend(file, (), {painting: 1.0}, seconds, photos)
    [(digest, _)] = predicted.sources["paintings"]
    about = {
        "style_image": painting.rpartition("/")[2],
        "style_image_sha256": digest,
        "predicted": True,
        "refined_seconds": seconds,
    }
    style = Style(torch.tensor(predicted.vector), about)
    return replace(read_unchanged(file), styles={name: style})
