"""What every training's recipe has, and what is wrong with a training."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field

from stylebeam.transforms.hardware.devices import DeviceName, choose_device, fast_precision
from stylebeam.transforms.training.data import ImageFile, ListFiles, images_among


class TrainingError(Exception):
    """A training that cannot go on; the message says what to change."""


class RecipeError(Exception):
    """A recipe that cannot be trained; the message says what to change."""


class LoopRecipe(BaseModel):
    """What every training's recipe has."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    output: Path = Field(description="The file to write, ending in .safetensors.")
    # A large crop rather than several small ones: an instance normalisation takes its means over
    # what it is shown, and in use that is a whole photograph.
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
        description="Decides the first weights and every crop.",
    )
    device: DeviceName = Field(default="auto", description="Where to train.")
    tensorboard: Path | None = Field(
        default=None,
        description="A folder for TensorBoard: losses, and pictures now and then. Needs the package"
        " tensorboard.",
    )

    def check_output(self) -> None:
        """Find what would otherwise fail only once the training is done.

        Raises:
            RecipeError: the output cannot be written.
        """
        if self.output.suffix != ".safetensors":
            raise RecipeError(f"output: {self.output} must end in .safetensors.")
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.output.parent).close()
        except OSError as error:
            raise RecipeError(f"output: {self.output} cannot be written: {error}") from error

    def choose_device(self) -> tuple[torch.device, torch.dtype]:
        """Return where to train, and the precision of the convolutions.

        Raises:
            DeviceUnavailableError: the device is not there.
        """
        device = choose_device(self.device)
        # float16, which a GPU is fastest in, would need its gradients scaled.
        precision = torch.bfloat16 if device.type == "cuda" else fast_precision(device)
        return device, precision


class NetworkRecipe(LoopRecipe):
    """What every recipe of an image transformation network has."""

    content_images: str | Path = Field(
        description="A folder of photographs, searched recursively; stylebeam train takes whatever"
        " the input of a batch may be, a bucket too."
    )
    ema_decay: float = Field(
        default=0.99,
        ge=0,
        lt=1,
        strict=True,
        description="What is kept at each iteration of the moving average of the weights, which is"
        " what is written; 0 for the weights as they are.",
    )

    def photographs(self, list_files: ListFiles, without: Sequence[str] = ()) -> list[ImageFile]:
        """Return the photographs in content_images, in order.

        Args:
            list_files: lists the files there.
            without: patterns of names to leave out.

        Raises:
            RecipeError: there are none, or they cannot be listed.
        """
        place = str(self.content_images)
        try:
            return images_among(list_files(place), place, without)
        except (OSError, ValueError) as error:
            raise RecipeError(f"content_images: {str(error).rstrip('.')}.") from error
