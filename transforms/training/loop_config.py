"""The settings that all trainings have, and the errors of trainings."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from stylebeam.transforms.hardware.devices import DeviceName, choose_device, fast_precision
from stylebeam.transforms.training.data import ImageFile, ListFiles, images_among


class TrainingError(Exception):
    """A training failed while it was running; the message says what to change."""


class ConfigValueError(Exception):
    """A value in a config cannot be used; the message names the key and says what to change.

    For example, a file that does not exist, or a layer that a network does not have.
    """


class LoopConfig(BaseModel):
    """Settings that all trainings have."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    output: Path = Field(description="The file to write, ending in .safetensors.")
    # One large crop is better than several small ones: the statistics of instance normalization are
    # taken over the crop in training, and over the whole photo in use.
    crop_size: int = Field(
        default=320, ge=32, strict=True, description="Side of a training crop in pixels."
    )
    batch_size: int = Field(default=1, ge=1, strict=True, description="Crops in an iteration.")
    iterations: int = Field(default=2000, ge=1, strict=True, description="How long to train.")
    minutes: float | None = Field(
        default=None, gt=0, description="How long to train, instead of a number of iterations."
    )
    learning_rate: float = Field(
        default=2e-3, gt=0, strict=True, description="Peak of the one-cycle schedule."
    )
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**63,
        strict=True,
        description="Seed of the initial weights and of the crops.",
    )
    device: DeviceName = Field(default="auto", description="Where to train.")
    tensorboard: Path | None = Field(
        default=None,
        description="A folder for TensorBoard: losses and, at intervals, pictures. Needs the"
        " package tensorboard.",
    )

    def check_output(self) -> None:
        """Check that the output can be written, before the training rather than after it.

        Raises:
            ConfigValueError: the output cannot be written.
        """
        check_writable("output", self.output)

    def choose_device(self) -> tuple[torch.device, torch.dtype]:
        """Return the device to train on, and the precision of the convolutions.

        Raises:
            DeviceUnavailableError: the device is not available.
        """
        device = choose_device(self.device)
        # float16, the fastest on GPUs, would need gradient scaling.
        precision = torch.bfloat16 if device.type == "cuda" else fast_precision(device)
        return device, precision


def check_writable(key: str, path: Path) -> None:
    """Check that a file of weights can be written.

    Args:
        key: of the config, for the error.
        path: of the file.

    Raises:
        ConfigValueError: it cannot be written.
    """
    if path.suffix != ".safetensors":
        raise ConfigValueError(f"{key}: {path} must end in .safetensors.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ConfigValueError(f"{key}: {path} cannot be written: {error}") from error


class NetworkTrainingConfig(LoopConfig):
    """Settings that all trainings of image transformation networks have."""

    content_images: str | Path = Field(
        description="A folder of photos, searched recursively; or a folder in a bucket, such as"
        " gs://bucket/photos."
    )
    ema_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        strict=True,
        description="Decay of the exponential moving average of the weights, which is what is"
        " written; 0 to write the weights of the last iteration.",
    )

    def photos(self, list_files: ListFiles, without: Sequence[str] = ()) -> list[ImageFile]:
        """Return the photos in content_images, sorted by path.

        Args:
            list_files: lists the files of a folder or URL.
            without: patterns of file names to leave out.

        Raises:
            ConfigValueError: there are none, or they cannot be listed.
        """
        place = str(self.content_images)
        try:
            return images_among(list_files(place), place, without)
        except (OSError, ValueError) as error:
            raise ConfigValueError(f"content_images: {str(error).rstrip('.')}.") from error
