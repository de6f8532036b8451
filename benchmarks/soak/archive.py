"""The archive of a soak as it must be: photos, and files in the output that are not ours."""

import random
from collections.abc import Collection

from benchmarks.soak.folders import Folder
from benchmarks.soak.photos import Photo, broken_photo, good_photo, poisoned_photo
from benchmarks.soak.poisons import POISONS
from benchmarks.soak.references import Setting

_MOST_POISONED = 2
_STYLES = ("udnie", "starry_night", "johnson_udnie")
_FORMATS = ("same", "same", "jpeg", "png", "webp", "tiff")


class Archive:
    """Photos and outputs, with what is known about them. All changes are made through it.

    Attributes:
        photos: the photos that are there, by name.
        versions: all photos that were there during this run, by name.
        setting: what the config says about outputs.
        protected: contents of files in the output that runs must leave alone, by name.
        doubtful: outputs whose line of the journal may be lost.
        ever: the names of all outputs that runs may have written.
        inputs: where the photos are.
        outputs: where the outputs are.
    """

    def __init__(self, inputs: Folder, outputs: Folder, on_disk: bool, most: int) -> None:
        """Start an empty archive.

        Args:
            inputs: an empty folder.
            outputs: an empty folder.
            on_disk: whether the folders are on the disk, where more names are possible.
            most: the archive grows to this many photos.
        """
        self.inputs, self.outputs = inputs, outputs
        self.photos: dict[str, Photo] = {}
        self.versions: dict[str, list[Photo]] = {}
        self.setting = Setting(_STYLES[0], "same")
        self.protected: dict[str, bytes] = {}
        self.doubtful: set[str] = set()
        self.ever: set[str] = set()
        self._on_disk = on_disk
        self._most = most
        self._number = 0

    def start_run(self) -> None:
        """Forget the versions of photos from before this run."""
        self.versions = {name: [photo] for name, photo in self.photos.items()}
        self.ever.update(map(self.output_of, self.photos.values()))

    def good(self) -> list[Photo]:
        """Return the good photos that are there, in an order that depends on the seed alone."""
        return [each for each in self.photos.values() if each.fault is None]

    def output_of(self, photo: Photo) -> str:
        """Return the name of a photo's output."""
        return self.setting.output_of(photo.name)

    # Changes between rounds. Each returns how many files it changed.

    def grow(self, generator: random.Random) -> None:
        """Add good photos, sometimes a broken one, and remove some."""
        for _ in range(generator.randint(2, 8)):
            self._put(good_photo(generator, self._next_number(), self._on_disk))
        if generator.random() < 0.15:
            self._put(broken_photo(generator, self._next_number(), self._on_disk))
        if generator.random() < 0.3:
            self.remove(generator.choice(sorted(self.photos)))
        surplus = max(0, len(self.photos) - self._most)
        for name in generator.sample(sorted(self.photos), k=surplus):
            self.remove(name)
            for output in {Setting("", each).output_of(name) for each in _FORMATS}:
                if output not in self.protected:
                    self.outputs.delete(output)

    def poison(self, generator: random.Random, kind: str) -> None:
        """Add a poisoned photo, and remove older ones."""
        poisoned = [name for name, each in self.photos.items() if each.fault in POISONS]
        for name in poisoned[: max(0, len(poisoned) + 1 - _MOST_POISONED)]:
            self.remove(name)
        self._put(poisoned_photo(generator, self._next_number(), kind, self._on_disk))

    def change_inputs(self, generator: random.Random) -> int:
        """Replace the contents of some photos."""
        for name in self._some(generator):
            self.replace(name, generator)
        return 1

    def replace(self, name: str, generator: random.Random) -> None:
        """Replace the contents of a photo by those of another one of its format."""
        before = self.photos[name]
        extension = name[name.rindex(".") :]
        while not (new := good_photo(generator, 0, self._on_disk)).name.endswith(extension):
            pass
        self._put(new._replace(name=before.name))

    def delete_outputs(self, generator: random.Random) -> int:
        """Delete the outputs of some photos."""
        names = {self.output_of(self.photos[name]) for name in self._some(generator)}
        for name in names - self.protected.keys():
            self.outputs.delete(name)
        return len(names)

    def edit_results(self, generator: random.Random) -> int:
        """Edit the outputs of some photos in place, half of them without a change of size."""
        edited = 0
        for name in self._some(generator):
            output = self.output_of(self.photos[name])
            keep_size = generator.random() < 0.5
            data = self.outputs.read(output)
            # Half a file could be of a killed run only where writing is not atomic.
            if data and output not in self.protected:
                data = data[:-1] + bytes([data[-1] ^ 1]) if keep_size else data + b"edited"
                self._protect(output, data)
                edited += 1
        return edited

    def add_foreign(self, generator: random.Random) -> int:
        """Put files of someone else where outputs of new photos would go, and beside them."""
        photo = good_photo(generator, self._next_number(), self._on_disk)
        self._put(photo)
        self._protect(self.output_of(photo), generator.randbytes(100))
        self._protect(f"notes {self._next_number()}.txt", generator.randbytes(20))
        return 2

    def free_protected(self, generator: random.Random) -> int:
        """Move some of the protected files away, as the message of the run advises."""
        names = [name for name in sorted(self.protected) if generator.random() < 0.5]
        for name in names:
            self.outputs.delete(name)
            del self.protected[name]
        return len(names)

    def change_setting(self, generator: random.Random) -> int:
        """Choose another style or format."""
        self.setting = Setting(generator.choice(_STYLES), generator.choice(_FORMATS))
        return 1

    def remove(self, name: str) -> None:
        """Remove a photo; its output stays."""
        del self.photos[name]
        self.inputs.delete(name)

    def settle_doubtful(self, given_up: Collection[str]) -> None:
        """Delete outputs that a run no longer knows, as its message advises; it knows the others.

        Args:
            given_up: the outputs that the run has left alone.
        """
        for name in given_up:
            self.outputs.delete(name)
        self.doubtful -= {self.output_of(each) for each in self.photos.values()}

    def _put(self, photo: Photo) -> None:
        self.photos[photo.name] = photo
        self.versions.setdefault(photo.name, []).append(photo)
        self.inputs.write(photo.name, photo.data)

    def _protect(self, name: str, data: bytes) -> None:
        self.protected[name] = data
        self.outputs.write(name, data)

    def _some(self, generator: random.Random) -> list[str]:
        """Return the names of a few good photos."""
        names = [each.name for each in self.good()]
        return generator.sample(names, k=min(len(names), generator.randint(1, 4)))

    def _next_number(self) -> int:
        self._number += 1
        return self._number
