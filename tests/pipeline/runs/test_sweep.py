"""Tests of the command `sweep` with real files."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from stylebeam.pipeline.cli.arguments import main
from stylebeam.pipeline.config import node_edits, yaml_nodes
from stylebeam.pipeline.config.file import ConfigError
from stylebeam.pipeline.runs.sweep import Axis, load_sweep, setting_of

CONFIG = """\
batches:
  - name: chicago
    input: photos
    output: out
    fast: {checkpoint: two.safetensors, style: one}
run: {device: cpu}
sweep:
  rows: {key: fast.style, values: [one, {one: 0.25, two: 0.75}]}
  columns: {key: fast.strength, values: [0.25, 0.5, 1]}
"""


@pytest.fixture(autouse=True)
def folder(photos: Path, two_styles_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photos, a checkpoint of two styles and a config."""
    folder = photos.parent
    (folder / "two.safetensors").symlink_to(two_styles_path)
    (folder / "sweep.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


def sweep(*settings: str, flags: tuple[str, ...] = ()) -> int:
    overrides = (word for setting in settings for word in ("--set", setting))
    return main(["sweep", "sweep.yaml", *overrides, *flags])


def sheets() -> set[str]:
    return {
        str(path.relative_to("out"))
        for path in Path("out").rglob("*")
        if path.is_file() and "cells" not in path.parts
    }


def find(sheet: Path, cell: Path) -> list[tuple[int, int]]:
    """Return the left upper corners at which a sheet shows exactly the pixels of a cell."""
    with Image.open(sheet) as image, Image.open(cell) as part:
        wanted = part.convert("RGB")
        corner = wanted.crop((0, 0, 24, 1)).tobytes()
        rows = (image.crop((0, y, image.width, y + 1)).tobytes() for y in range(image.height))
        starts = (
            (at // 3, y)
            for y, row in enumerate(rows)
            for at in range(0, len(row), 3)
            if row.startswith(corner, at)
        )
        width, height = wanted.size
        return [
            (x, y)
            for x, y in starts
            if image.crop((x, y, x + width, y + height)).tobytes() == wanted.tobytes()
        ]


@pytest.mark.slow
def test_every_cell_equals_the_output_of_a_run_with_its_values(
    gradient: Callable[[int, int], Image.Image], capsys: pytest.CaptureFixture[str]
) -> None:
    gradient(200, 170).save("photos/below/c.jpeg")
    assert sweep() == 0
    assert sheets() == {"a.png", "b.png", "below/c.png"}
    printed = capsys.readouterr().out
    assert "chicago: 3 images in photos, each stylized in 6 ways\n" in printed
    assert (
        "chicago: fast.style=one, fast.strength=0.5: 3 done, 0 failed; outputs in out/ce" in printed
    )
    assert printed.count("Networks loaded: 1.\n") == 1
    assert printed.endswith("The contact sheet of each image is in out.\n")

    styles = {1: "one", 2: "{one: 1, two: 3}"}
    strengths = {1: 0.25, 2: 0.5, 3: 1.0}
    Path("run.yaml").write_text("""\
defaults: {input: photos, format: png, fast: {checkpoint: two.safetensors}}
run: {device: cpu}
batches:
""")
    with open("run.yaml", "a") as file:
        for (row, style), (column, strength) in product(styles.items(), strengths.items()):
            cell, fast = f"run/{row}_{column}", f"{{style: {style}, strength: {strength}}}"
            file.write(f"- {{name: {cell}, output: {cell}, fast: {fast}}}\n")
    assert main(["run", "run.yaml"]) == 0
    places = []
    for row, column in product(styles, strengths):
        for name in ("a.png", "b.png", "below/c.png"):
            cell = Path(f"out/cells/{row}_{column}", name)
            assert cell.read_bytes() == Path(f"run/{row}_{column}", name).read_bytes()
        places += find(Path("out/below/c.png"), cell)
    lefts, tops = sorted({x for x, _ in places}), sorted({y for _, y in places})
    assert places == [(x, y) for y in tops for x in lefts]
    assert (len(lefts), len(tops)) == (3, 2)


def test_one_row_of_one_photo_with_options_of_beam() -> None:
    settings = ["sweep.rows=null", "sweep.columns.values=[0.25, 0.75]"]
    flags = "--direct_num_workers=2", "--direct_running_mode=multi_threading"
    assert sweep(*settings, "batches.chicago.input=photos/below/c.jpeg", flags=flags) == 0
    assert sheets() == {"c.png"}
    with Image.open("out/c.png") as sheet:
        assert sheet.width > 2 * 160 > sheet.height
    assert sorted(path.name for path in Path("out/cells").iterdir()) == ["1_1", "1_2"]


def test_a_sheet_marks_the_cells_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/broken.jpg").write_text("no image")
    # A link out of the input is refused, and has no sheet.
    Path("photos/link.jpg").symlink_to("/etc/hostname")
    settings = ["sweep.rows={key: method, values: [fast, super_resolution]}"]
    settings += ["sweep.columns.values=[0, 1]", "run.max_pixels=2500"]
    # An output of a sweep before must not stand for one that failed.
    Path("out/cells/2_2").mkdir(parents=True)
    Image.new("RGB", (50, 41), "red").save("out/cells/2_2/a.png")
    assert sweep(*settings) == 3
    assert sheets() == {"a.png", "b.png", "broken.png", "below/c.png"}
    gray = (238, 238, 238)
    for name, first_row_failed in (("a.png", False), ("broken.png", True)):
        with Image.open(Path("out", name)) as sheet:
            x = sheet.width - 20
            assert sheet.getpixel((x, sheet.height - 20)) == gray
            assert (sheet.getpixel((x, sheet.height - 190)) == gray) == first_row_failed
    printed = capsys.readouterr().out
    assert "chicago: method=fast, fast.strength=0: 2 done, 3 failed" in printed
    assert "  failed: photos/broken.jpg: The file is not an image of a known kind.\n" in printed


def test_an_input_without_images_is_reported_and_not_a_failure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("empty").mkdir()
    assert sweep("batches.chicago.input=empty") == 0
    printed = capsys.readouterr().out
    assert printed.startswith(
        "chicago: 0 images in empty, each stylized in 6 ways\n  empty contains no images"
    )
    assert not Path("out").exists()


def test_cells_are_png_unless_the_batch_has_a_format() -> None:
    for chosen, written in (("same", "png"), ("webp", "webp")):
        cells = load_sweep("sweep.yaml", [f"batches.chicago.format={chosen}"]).cells
        assert {cell.batch.format for row in cells for cell in row} == {written}


def test_the_quality_of_jpegs_is_swept() -> None:
    settings = ["sweep.columns={key: quality, values: [5, 95]}", "sweep.rows=null"]
    assert sweep(*settings, "batches.chicago.format=jpeg") == 0
    poor, good = (Path(f"out/cells/1_{column}/a.jpg") for column in (1, 2))
    assert poor.stat().st_size < good.stat().st_size
    with Image.open(poor) as one, Image.open(good) as other:
        assert ImageChops.difference(one, other).getbbox()


@pytest.mark.parametrize(
    ("text", "value", "label"),
    [
        ("1.0e-16", 1e-16, "1.0e-16"),
        ("1.5e+300", 1.5e300, "1.5e+300"),
        ("10000000000000000.0", 1e16, "1.0e+16"),
        ("3", 3, "3"),
        ("true", True, "true"),
        ("null", None, "null"),
        ("'1.0'", "1.0", "1.0"),
        ("'no'", "no", "no"),
        ("1e5", "1e5", "1e5"),
        (
            r'"a=b: {c}, \"d\" # \n\té 漢 😀"',
            'a=b: {c}, "d" # \n\té 漢 😀',
            'a=b: {c}, "d" # \n\té 漢 😀',
        ),
        ("{a: [1.0e-7, 'no'], b: {}}", {"a": [1e-7, "no"], "b": {}}, "{a: [1.0e-07, no], b: {}}"),
        ("2020-01-31", "2020-01-31", "2020-01-31"),
    ],
)
def test_a_value_of_any_type_is_kept(text: str, value: object, label: str) -> None:
    config = yaml_nodes.parse(f"batches: [{{}}]\nvalues: [{text}]", "config.yaml")
    [read] = yaml_nodes.values(config)["values"]
    node_edits.apply_setting(config, setting_of("a.key", read))
    [batch] = yaml_nodes.values(config)["batches"]
    assert batch == {"a": {"key": value}}
    assert type(batch["a"]["key"]) is type(value)
    assert Axis(key="a.key", values=(read,)).labels == [label]


def test_a_mapping_does_not_replace_what_the_other_axis_sets_in_it() -> None:
    outer = "{key: fast, values: [{style: one, checkpoint: two.safetensors, strength: 0}]}"
    for rows, columns in (("rows", "columns"), ("columns", "rows")):
        inner = f"sweep.{columns}={{key: fast.strength, values: [0.75]}}"
        [[cell]] = load_sweep("sweep.yaml", [f"sweep.{rows}={outer}", inner]).cells
        batch = cell.batch
        assert batch.fast is not None
        assert (batch.fast.strength, batch.fast.style) == (0.75, {"one": 1.0})


def test_a_batch_may_have_any_name() -> None:
    for name in ("2026", "a.b", "x=1"):
        [[cell, *_], _] = load_sweep("sweep.yaml", [f"batches.0.name='{name}'"]).cells
        assert cell.batch.name == f"{name}: fast.style=one, fast.strength=0.25"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sweep.columns.key=fast.style"], "fast.style is the key of the rows already"),
        (["sweep.rows.values=[]"], "sweep.rows.values: there must be at least one value"),
        (["sweep.rows.values=[one, two, one]"], "sweep.rows.values.2: one is listed twice"),
        (["sweep.columns.key=input"], "sweep.columns.key: input is the same for all cells"),
        (
            ["sweep.columns.key=quality"],
            "sweep.columns.key: quality has an effect on JPEG and WebP",
        ),
        (["sweep.columns=null"], "sweep.columns: must be a mapping"),
        (["sweep.colums={}"], "sweep.colums: there is no such key; did you mean columns?"),
        (["sweep.rows.valeus=[]"], "sweep.rows.valeus: there is no such key; did you mean values?"),
        (["batches=[]"], "batches: there must be at least one batch"),
        (["batches.chicago.output=photos"], "photos includes photos, where batch chicago writes"),
        (["batches.chicago.input=nowhere"], "input: nowhere does not exist"),
        (["run.device=cuda"], "no CUDA GPU on this machine"),
        (
            ["batches.chicago.input=photos/b.png", "batches.chicago.output=photos"],
            "photos/b.png would be written over ",
        ),
    ],
)
def test_mistakes_are_errors_before_the_run(
    settings: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(Path().rglob("*"))
    assert sweep(*settings) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_a_sweep_has_one_batch(capsys: pytest.CaptureFixture[str]) -> None:
    other = "  - {name: other, input: photos, output: o, fast: {style: starry_night}}\nrun:"
    Path("sweep.yaml").write_text(CONFIG.replace("run:", other))
    assert sweep() == 2
    error = capsys.readouterr().err
    assert error == "stylebeam: sweep.yaml:1: batches: a sweep takes one batch, not 2\n"


def test_the_mistakes_of_all_cells_are_reported_once_with_their_axis() -> None:
    settings = ["sweep.rows.values=[one, thre, {one: -1}]", "sweep.columns.values=[2, 0.5, much]"]
    with pytest.raises(ConfigError) as caught:
        load_sweep("sweep.yaml", settings)
    assert sorted(caught.value.mistakes) == [
        "sweep.yaml: sweep.columns: batches.chicago.fast.strength: must be a number, not 'much'",
        "sweep.yaml: sweep.columns: batches.chicago.fast.strength: must be at most 1.0, not 2",
        "sweep.yaml: sweep.rows: batches.chicago.fast.style.one: must be at least 0.0, not -1",
        "sweep.yaml: sweep.rows: batches.chicago.fast.style: two.safetensors holds no style"
        " 'thre'; it holds one, two.",
    ]
    with pytest.raises(ConfigError) as caught:
        load_sweep("sweep.yaml", ["sweep.columns.key=fast.strenth"])
    assert caught.value.mistakes == (
        "sweep.yaml: sweep.columns: batches.chicago.fast.strenth: there is no such key; did you"
        " mean strength?",
    )


def test_a_file_is_read_once_for_all_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (20, 20)).save("painting.png")
    paths: list[str] = []

    def read(path: str, *args: float) -> bytes:
        paths.append(path)
        return Path(path).read_bytes()

    monkeypatch.setattr("stylebeam.pipeline.storage.read", read)
    gatys = ["batches.chicago.method=gatys", "batches.chicago.gatys={style_image: painting.png}"]
    weights = "{key: gatys.style_weight, values: [1.0, 2.0, 3.0]}"
    for settings in ([], [*gatys, f"sweep.columns={weights}"]):
        paths.clear()
        [row] = load_sweep("sweep.yaml", ["sweep.rows=null", *settings]).cells
        assert len(row) == 3
        read_once = [path for path in paths if path != "sweep.yaml"]
        assert "two.safetensors" in read_once
        assert len(read_once) == len(set(read_once))


def test_two_photos_of_one_sheet_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (20, 20)).save("photos/a.png")
    assert sweep() == 2
    printed = capsys.readouterr().err
    assert (
        "batch chicago: photos/a.png and photos/a.jpg would both be written to out/a.p" in printed
    )
    assert not Path("out").exists()


def test_a_sheet_never_overwrites_a_cell(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/cells/2_3").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save("photos/cells/2_3/a.jpg")
    assert sweep() == 2
    assert "would both be written to out/cells/2_3/a.png" in capsys.readouterr().err
