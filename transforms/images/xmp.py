"""XMP: remove the properties that no longer apply, or that say where the photo was taken.

The packet is parsed, and the bytes of the properties to remove are cut out of it. The others are
copied byte for byte.
"""

import re
from collections.abc import Callable
from typing import NamedTuple
from xml.parsers import expat

# In bytes, elements inside one another, and namespaces: more than any program writes.
_LARGEST, _DEEPEST, _MOST_NAMESPACES = 4 * 2**20, 100, 500

_ADOBE, _GOOGLE, _IPTC = (
    "http://ns.adobe.com/",
    "http://ns.google.com/photos/",
    "http://iptc.org/std/",
)
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
# The usual prefixes. They count where a packet forgets to declare them.
_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": _RDF,
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xmlns": "http://www.w3.org/2000/xmlns/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "xmp": f"{_ADOBE}xap/1.0/",
    "xap": f"{_ADOBE}xap/1.0/",
    "xmpRights": f"{_ADOBE}xap/1.0/rights/",
    "xmpMM": f"{_ADOBE}xap/1.0/mm/",
    "xmpNote": f"{_ADOBE}xmp/note/",
    "tiff": f"{_ADOBE}tiff/1.0/",
    "exif": f"{_ADOBE}exif/1.0/",
    "exifEX": "http://cipa.jp/exif/1.0/",
    "aux": f"{_ADOBE}exif/1.0/aux/",
    "photoshop": f"{_ADOBE}photoshop/1.0/",
    "lr": f"{_ADOBE}lightroom/1.0/",
    "hdrgm": f"{_ADOBE}hdr-gain-map/1.0/",
    "Iptc4xmpCore": f"{_IPTC}Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": f"{_IPTC}Iptc4xmpExt/2008-02-29/",
    "HDRGainMap": "http://ns.apple.com/HDRGainMap/1.0/",
    "apdi": "http://ns.apple.com/pixeldatainfo/1.0/",
    "GCamera": f"{_GOOGLE}1.0/camera/",
    "GDepth": f"{_GOOGLE}1.0/depthmap/",
    "GImage": f"{_GOOGLE}1.0/image/",
    "GAudio": f"{_GOOGLE}1.0/audio/",
    "GPano": f"{_GOOGLE}1.0/panorama/",
    "Container": f"{_GOOGLE}1.0/container/",
    "Item": f"{_GOOGLE}1.0/container/item/",
    "OpCamera": "http://ns.oplus.com/photos/1.0/camera/",
    "MiCamera": "http://ns.xiaomi.com/photos/1.0/camera/",
    "mwg-rs": "http://www.metadataworkinggroup.com/schemas/regions/",
    "MP": "http://ns.microsoft.com/photo/1.2/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
}

# Regular expressions of what no longer applies, by prefix. The pixels are upright, in sRGB, perhaps
# of another size and in another kind of file, with no other images, video or depth beside them, and
# were not captured by a camera. `xmpNote` announces a second packet, which is not copied.
_STALE = {
    "tiff": "Orientation|Image(Width|Length)|BitsPerSample|Compression|PhotometricInterpretation"
    "|SamplesPerPixel|PlanarConfiguration|YCbCr.*|TransferFunction|WhitePoint"
    "|PrimaryChromaticities|ReferenceBlackWhite|NativeDigest",
    "exif": "Pixel[XY]Dimension|ColorSpace|CompressedBitsPerPixel|ComponentsConfiguration|Gamma"
    "|SceneType|Subject(Area|Location)|NativeDigest",
    "exifEX": "Gamma|InteroperabilityIndex",
    "xmp": "Thumbnails",
    "xmpMM": "InstanceID",
    "xmpNote": "HasExtendedXMP",
    "dc": "format",
    "dcterms": "provenance",
    "photoshop": "ICCProfile|ColorMode",
    "Iptc4xmpExt": "DigitalSourceType|DigitalSourcefileType",
    "hdrgm": ".*",
    "HDRGainMap": ".*",
    "apdi": ".*",
    "GCamera": "MicroVideo.*|MotionPhoto.*|SpecialTypeID|Depth.*|Portrait.*|hdrp_.*|shot_log_.*",
    "GDepth": ".*",
    "GImage": ".*",
    "GAudio": ".*",
    "Container": ".*",
    "Item": ".*",
    "OpCamera": ".*",
    "MiCamera": ".*",
}
# Dynamic Depth of Google, a family of namespaces.
_STALE_NAMESPACES = (f"{_GOOGLE}dd/",)
# What no longer applies to a photo that was turned, and to one of another size.
_STALE_WHEN_TURNED = {"mwg-rs": "Regions", "MP": "RegionInfo"}
_STALE_WHEN_RESIZED = {"GPano": ".*Pixels|LargestValidInterior.*"}

# With `gps: drop` only these are kept: titles, names, dates, copyright and settings of the camera.
# The text in them is the user's.
_PLACELESS = {
    "x": "xmpmeta|xapmeta|xmptk",
    "rdf": "RDF|Description|Bag|Seq|Alt|li|value|about|parseType|resource",
    "xml": "lang",
    "dc": "contributor|creator|date|description|identifier|language|publisher|rights|source|subject"
    "|title|type",
    "xmp": "CreateDate|CreatorTool|Identifier|Label|MetadataDate|ModifyDate|Nickname|Rating",
    "xmpRights": "Certificate|Marked|Owner|UsageTerms|WebStatement",
    "tiff": "Artist|Copyright|DateTime|ImageDescription|Make|Model|ResolutionUnit|Software"
    "|[XY]Resolution",
    "exif": "ApertureValue|BrightnessValue|Contrast|CustomRendered|DateTime(Original|Digitized)"
    "|DigitalZoomRatio|ExifVersion|Exposure(BiasValue|Index|Mode|Program|Time)|FNumber|FileSource"
    "|Flash|FlashEnergy|FlashpixVersion|FocalLength|FocalLengthIn35mmFilm"
    "|FocalPlane(ResolutionUnit|[XY]Resolution)|GainControl|ISOSpeedRatings|ImageUniqueID"
    "|LightSource|MaxApertureValue|MeteringMode|Saturation|SceneCaptureType|SensingMethod"
    "|Sharpness|ShutterSpeedValue|SubjectDistance|SubjectDistanceRange|UserComment|WhiteBalance"
    "|Fired|Function|Mode|RedEyeMode|Return",  # the parts of `Flash`
    "exifEX": "BodySerialNumber|CameraOwnerName|ISOSpeed.*|Lens(Make|Model|SerialNumber"
    "|Specification)|PhotographicSensitivity|RecommendedExposureIndex|SensitivityType"
    "|StandardOutputSensitivity",
    "aux": "ApproximateFocusDistance|Firmware|FlashCompensation|ImageNumber|Lens|LensDistortInfo"
    "|LensID|LensInfo|LensSerialNumber|OwnerName|SerialNumber",
    "photoshop": "AuthorsPosition|CaptionWriter|Category|Credit|DateCreated|Headline|Instructions"
    "|Source|SupplementalCategories|TransmissionReference|Urgency",
    "lr": "hierarchicalSubject|weightedFlatSubject",
    "Iptc4xmpCore": "AltTextAccessibility|ExtDescrAccessibility|IntellectualGenre|Scene"
    "|SubjectCode",
    "Iptc4xmpExt": "PersonInImage",
    "digiKam": "TagsList|ColorLabel|PickLabel",
    "MicrosoftPhoto": "Rating|LastKeyword(XMP|IPTC)",
}


def current_xmp(xmp: bytes | None, turned: bool = False) -> bytes | None:
    """Return a packet without what no longer applies after the pixels have changed.

    Args:
        xmp: a packet as in a file.
        turned: whether the pixels were turned upright.

    Returns:
        The packet; None if there is none, or it is not well-formed XML in UTF-8.
    """
    if not xmp or len(xmp) > _LARGEST:
        return None
    xmp = xmp.strip(b"\0").lstrip()
    stale = _matcher(_STALE | _STALE_WHEN_TURNED if turned else _STALE)
    return _filtered(
        xmp, lambda name: not (name.namespace.startswith(_STALE_NAMESPACES) or stale(name))
    )


def resized_xmp(xmp: bytes | None) -> bytes | None:
    """Return a packet without what does not apply to an image of another size."""
    stale = _matcher(_STALE_WHEN_RESIZED)
    return _filtered(xmp, lambda name: not stale(name)) if xmp else None


def xmp_without_place(xmp: bytes | None) -> bytes | None:
    """Return a packet with only what is known not to say where the photo was taken.

    Returns:
        The packet; None if there is none, or it has text outside the known properties.
    """
    return _filtered(xmp, _matcher(_PLACELESS), strict=True) if xmp else None


class _Name(NamedTuple):
    """The name of an element or an attribute."""

    namespace: str
    local: str


_Predicate = Callable[[_Name], bool]


def _matcher(expressions: dict[str, str]) -> _Predicate:
    """Return whether a name matches the expression of its namespace."""
    compiled = {
        _NAMESPACES[prefix]: re.compile(expression) for prefix, expression in expressions.items()
    }

    def matches(name: _Name) -> bool:
        expression = compiled.get(name.namespace)
        return expression is not None and expression.fullmatch(name.local) is not None

    return matches


def _filtered(xmp: bytes, keep: _Predicate, strict: bool = False) -> bytes | None:
    """Return a packet with some elements and attributes; None if it cannot be parsed.

    Args:
        xmp: the packet.
        keep: whether an element or attribute is kept.
        strict: whether comments are removed, and a packet is refused that has text which belongs to
            no property.
    """
    try:
        xmp.decode()
        cutter = _Cutter(xmp, keep, strict)
        cutter.parse()
    except (UnicodeDecodeError, expat.ExpatError, _NotUnderstoodError):
        return None
    kept, place = [], 0
    for start, end in sorted(cutter.cuts):
        if start >= place:
            kept.append(xmp[place:start])
            place = end
    return b"".join([*kept, xmp[place:]])


class _NotUnderstoodError(Exception):
    """A packet is in a form that XMP does not have."""


# A start tag of well-formed XML, which expat has checked: its name, and its attributes.
_ATTRIBUTE = re.compile(rb"\s+([^\s=<>/\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_START_TAG = re.compile(
    rb"<[^\s<>/=\"']+((?:\s+[^\s=<>/\"']+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*/?>"
)


class _Cutter:
    """Finds the bytes of elements and attributes that are not kept."""

    def __init__(self, xmp: bytes, keep: _Predicate, strict: bool) -> None:
        self._xmp = xmp
        self._keep = keep
        self._strict = strict
        self.cuts: list[tuple[int, int]] = []
        # For each open element its namespaces, its name, and where its start tag starts and ends.
        self._open: list[tuple[dict[str, str], _Name, int, int]] = []
        self._cut_from: int | None = None  # the depth of the outermost element that is cut

    def parse(self) -> None:
        """Fill `cuts`.

        Raises:
            expat.ExpatError, _NotUnderstoodError: the packet cannot be understood.
        """
        parser = self._parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._refuse  # only a document type can define entities
        if self._strict:
            parser.CommentHandler = self._comment
            parser.ProcessingInstructionHandler = self._instruction
            parser.CharacterDataHandler = self._text
        parser.Parse(self._xmp, True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= _DEEPEST:
            raise _NotUnderstoodError
        place = self._parser.CurrentByteIndex
        namespaces = self._open[-1][0] if self._open else {**_NAMESPACES, "": ""}
        declared = {name: uri for name, uri in attributes.items() if name.startswith("xmlns")}
        if declared:
            prefixes = {name.partition(":")[2]: uri for name, uri in declared.items()}
            namespaces = namespaces | prefixes
            if len(namespaces) > _MOST_NAMESPACES:
                raise _NotUnderstoodError
        name = _name(tag, namespaces)
        found = _START_TAG.match(self._xmp, place)
        if found is None:
            raise _NotUnderstoodError
        self._open.append((namespaces, name, place, found.end()))
        if self._cut_from is not None:
            return
        if not self._keep(name):
            self._cut_from = len(self._open)
            return
        for attribute in _ATTRIBUTE.finditer(self._xmp, found.start(1), found.end(1)):
            key = attribute[1].decode()
            # Attributes without a prefix have no namespace; declarations stay.
            if key in declared:
                continue
            if not self._keep(_name(key, {**namespaces, "": ""})):
                self.cuts.append(attribute.span())

    def _end(self, tag: str) -> None:
        _, _, start, end_of_start = self._open[-1]
        if self._cut_from == len(self._open):
            end = end_of_start
            if not self._xmp.endswith(b"/>", start, end_of_start):
                end = self._xmp.index(b">", self._parser.CurrentByteIndex) + 1
            if len(self._open) == 1:
                raise _NotUnderstoodError
            self.cuts.append((start, end))
            self._cut_from = None
        self._open.pop()

    def _comment(self, text: str) -> None:
        start = self._parser.CurrentByteIndex
        self.cuts.append((start, self._xmp.index(b"-->", start) + 3))

    def _instruction(self, target: str, text: str) -> None:
        if target != "xpacket":
            raise _NotUnderstoodError

    def _text(self, text: str) -> None:
        """Refuse text directly in the structure around the properties."""
        if self._cut_from is None and text.strip():
            known = [name for _, name, _, _ in self._open if name.namespace not in _STRUCTURE]
            if not known:
                raise _NotUnderstoodError

    def _refuse(self, *_: object) -> None:
        raise _NotUnderstoodError


_STRUCTURE = (_NAMESPACES["x"], _RDF)


def _name(name: str, namespaces: dict[str, str]) -> _Name:
    """Return a name with its namespace."""
    prefix, colon, local = name.partition(":")
    return _Name(namespaces.get(prefix, ""), local) if colon else _Name(namespaces[""], name)
