"""Which decoder to trust with a stranger's pixels: time, and what a thousand damaged codestreams do to its process.

    python benchmarks/decoders.py [--mutants 300]

Every decoder that pydicom knows and that is installed decodes a synthetic mammogram at full resolution (times are
relative to imagecodecs), and then mutants of a small one: a byte changed, a piece taken out, the end cut off.
Each decoder runs in a process of its own, which is started again when it dies. A mutant is *seen* if the decoder
refuses it, *passed* if it returns other pixels without a word; what was cut off is counted apart.
"""

from __future__ import annotations

import argparse
import logging
import pickle
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from ftmtl.decoding import codecs
from ftmtl.decoding.codecs import PLUGIN, IncompleteCodestream
from ftmtl.phantom.make import make_phantom

_HANGS_S = 20.0
_SYNTAXES = {
    JPEGBaseline8Bit: lambda pixels: imagecodecs.jpeg8_encode((pixels >> 4).astype(np.uint8), level=90),
    JPEGExtended12Bit: lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90, bitspersample=12),
    JPEGLosslessSV1: lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12, predictor=1),
    JPEGLSLossless: lambda pixels: imagecodecs.jpegls_encode(pixels),
    JPEG2000Lossless: lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True),
    HTJ2KLossless: lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
    RLELossless: lambda pixels: _rle(pixels),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=300, help="of each transfer syntax (default: 300)")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    codecs.register()
    if arguments.serve:
        path, syntax, plugin, first = arguments.serve
        _serve(Path(path), UID(syntax), plugin, int(first))
        return
    print("| transfer syntax | decoder | time | mutants | cut | passed whole | passed cut | process died | hung |")
    print("|---|---|---|---|---|---|---|---|---|")
    large = make_phantom(1, laterality="L", view="MLO", spacing_mm=0.1).pixels
    small = make_phantom(1, laterality="L", view="CC", spacing_mm=1.0).pixels
    for syntax, encode in _SYNTAXES.items():
        plugins = sorted(get_decoder(syntax).available_plugins, key=lambda name: (name != PLUGIN, name))
        times = {plugin: _seconds(syntax, plugin, encode(large), large.shape) for plugin in plugins}
        mutants = _mutants(encode(small), arguments.mutants)
        for plugin in plugins:
            if times[plugin] is None:
                continue
            found = _survive(syntax, plugin, [encode(small), *mutants], small.shape)
            cut = sum(is_cut for is_cut, _ in mutants)
            print(
                f"| {syntax.name} | {plugin} | {times[plugin] / times[PLUGIN]:.1f} | {len(mutants)} | {cut} | "
                f"{found['passed whole']} | {found['passed cut']} | {found['died']} | {found['hung']} |",
                flush=True,
            )


def _rle(pixels):
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import generate_frames
    from pydicom.uid import ExplicitVRLittleEndian

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name, value in _options(RLELossless, pixels.shape).items():
        setattr(ds, "".join(word.capitalize() for word in name.split("_")), value)
    ds.compress(RLELossless, pixels, encoding_plugin="pydicom", generate_instance_uid=False)
    return next(generate_frames(ds.PixelData, number_of_frames=1))


def _options(syntax, shape):
    bits = 8 if syntax == JPEGBaseline8Bit else 16
    return {
        "rows": shape[0],
        "columns": shape[1],
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": 0,
        "bits_allocated": bits,
        "bits_stored": min(bits, 12),
        "number_of_frames": 1,
    }


def _decode(syntax, plugin, codestream, shape):
    values, _ = get_decoder(syntax).as_array(
        encapsulate([codestream]), index=0, raw=True, decoding_plugin=plugin, **_options(syntax, shape)
    )
    return values


def _seconds(syntax, plugin, codestream, shape):
    """Return the shortest of six runs, or None if the decoder can't do it at all."""
    taken = []
    for _ in range(6):
        began = time.perf_counter()
        try:
            _decode(syntax, plugin, codestream, shape)
        except Exception:  # noqa: BLE001 - decoders raise whatever they like
            return None
        taken.append(time.perf_counter() - began)
    return min(taken)


def _mutants(codestream, count):
    """Return pairs: whether the end was cut off, and the damaged codestream."""
    random = np.random.default_rng(1)
    mutants = []
    for number in range(count):
        data = bytearray(codestream)
        if number % 5 == 0:
            del data[int(random.integers(len(data) // 10, len(data) - 4)) :]
        elif number % 5 == 1:
            start = int(random.integers(2, len(data)))
            del data[start : start + int(random.integers(1, 400))]
        else:  # half of them in the header
            place = random.integers(2, len(data) if number % 5 == 2 else min(len(data), 400))
            data[int(place)] = random.integers(0, 256)
        mutants.append((number % 5 == 0, bytes(data)))
    return mutants


def _survive(syntax, plugin, codestreams, shape):
    """Count what becomes of the mutants in a decoder's process."""
    good, *mutants = codestreams
    found = Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutants"
        path.write_bytes(pickle.dumps((good, mutants, shape)))
        first = 0
        while first < len(mutants):
            command = [sys.executable, __file__, "--serve", str(path), syntax, plugin, str(first)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=_HANGS_S, check=False)
                words, died = done.stdout.split("\n")[:-1], "died"
            except subprocess.TimeoutExpired as expired:
                words, died = (expired.stdout or b"").decode().split("\n")[:-1], "hung"
            words = [word.removeprefix("=") for word in words if word.startswith("=")]
            found.update(words)
            first += len(words)
            if first < len(mutants):
                found[died] += 1
                first += 1
    return found


def _serve(path, syntax, plugin, first):
    good, mutants, shape = pickle.loads(path.read_bytes())
    whole = _decode(syntax, plugin, good, shape)
    for is_cut, mutant in mutants[first:]:
        try:
            same = np.array_equal(_decode(syntax, plugin, mutant, shape), whole)
            word = "same" if same else "passed cut" if is_cut else "passed whole"
        except (Exception, IncompleteCodestream):  # noqa: BLE001 - decoders raise whatever they like
            word = "seen"
        print(f"={word}", flush=True)


if __name__ == "__main__":
    main()
