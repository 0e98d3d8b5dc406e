"""One instance in several encodings: the same values are told, and damaged ones neither end nor swell the listener."""

import resource
import struct
import zlib

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLosslessSV1
from support.codestreams import EXACT, codestream, compressed, picture
from support.listening import files, kept
from support.wire import Sender, data_set, encode, split

from node.dimse.entity import ACCEPTED_SYNTAXES

GREY = {
    "Rows": 300,
    "Columns": 240,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
}


def stored(listener, encoded, syntax):
    with Sender(listener.port, [syntax]) as sender:
        return sender.store(encoded).Status


@pytest.mark.parametrize("syntax", sorted(EXACT & {*ACCEPTED_SYNTAXES}), ids=lambda uid: uid.keyword)
def test_a_lossless_copy_is_the_same_version(listener, spool, ledger, syntax):
    plain = encode(data_set(**GREY), pixels=picture().tobytes())
    packed = encode(data_set(**GREY), syntax, codestream(compressed(syntax)))
    other = picture()
    other[150, 20] ^= 1
    changed = encode(data_set(**GREY), syntax, codestream(compressed(syntax, other)))
    assert stored(listener, plain, ExplicitVRLittleEndian) == 0x0000
    assert stored(listener, packed, syntax) == 0x0000
    assert len(files(spool, "instances")) == 1
    assert stored(listener, changed, syntax) == 0x0000, "one grey level of one pixel is another version"
    (instance,) = kept(ledger)
    assert split(spool.path(instance.key))[1] == changed


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGBaseline8Bit], ids=lambda uid: uid.keyword)
def test_pixels_that_kill_a_decoder_do_not_end_the_listener(listener, spool, syntax):
    """These made gdcm call std::terminate, or write where it must not, in the listener's own process."""
    data = codestream(compressed(syntax))
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7} if syntax == JPEGBaseline8Bit else {}
    frame = data.index(struct.pack(">HH", 300, 240)) - 1
    copies = [data]
    for place, value in [(2, 0x00), (5, 0x00), (11, 0xFF), (frame, 0x7F)]:
        copies.append(data[:place] + bytes([value]) + data[place + 1 :])
    for copy in copies:
        assert stored(listener, encode(data_set(**GREY | bits), syntax, copy), syntax) == 0x0000
    assert len(files(spool, "instances")) == len(copies), "what can't be compared counts as another version"


def test_data_sets_that_inflate_to_gigabytes_do_not_swell_the_listener(listener):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(2):
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        head = encode(data_set(ViewPosition=["CC", "MLO"][number]), pixels=b"")
        claim = head[:-4] + struct.pack("<L", 0xFFFFFFF0)
        bomb = packer.compress(claim) + packer.flush(zlib.Z_FULL_FLUSH)
        zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
        bomb += 256 * zeros + packer.flush()
        assert len(bomb) < 5_000_000
        status = stored(listener, bomb + b"\0" * (len(bomb) % 2), DeflatedExplicitVRLittleEndian)
        assert status == 0x0000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 900_000, "KiB"
