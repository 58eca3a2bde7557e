# Reads published public keys: which keys are in a file, by fingerprint (RFC 4880, version 4 keys).
from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
import sys

from ansible.module_utils.hypertool.errors import HostError

PUBLIC_KEY = 6
ARMOR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+\r?\n)*\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----",
    re.DOTALL,
)
CRC_START, CRC_POLYNOMIAL = 0xB704CE, 0x1864CFB


def dearmored(content):
    """The packets of all blocks of an armored file, or the content itself if it is binary."""
    blocks = ARMOR.findall(content)
    if not blocks:
        return content
    packets = b""
    for block in blocks:
        # A line that begins with = is the checksum of the lines before it.
        lines = [line.strip() for line in block.splitlines() if line.strip() and not line.startswith(b"=")]
        try:
            packets += base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as error:
            raise HostError(f"the key file is damaged: {error}") from error
    return packets


def armored(packets):
    crc = CRC_START
    for byte in packets:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (CRC_POLYNOMIAL if crc & 0x800000 else 0)
    text = base64.b64encode(packets).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    checksum = base64.b64encode((crc & 0xFFFFFF).to_bytes(3, "big")).decode()
    begin, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----" for word in ("BEGIN", "END"))
    return "\n".join([begin, "", *lines, f"={checksum}", end, ""])


def _packet(content, start):
    """Tag, body and end of the packet at an offset; IndexError or struct.error if it is truncated."""
    first = content[start]
    if not first & 0x80:
        raise HostError("the key file holds something that is no OpenPGP packet")
    position = start + 2
    if first & 0x40:
        tag, length = first & 0x3F, content[start + 1]
        if 192 <= length < 224:
            length, position = ((length - 192) << 8) + content[start + 2] + 192, start + 3
        elif length == 255:
            length, position = struct.unpack(">I", content[start + 2 : start + 6])[0], start + 6
        elif length >= 224:
            raise HostError("the key file holds a packet of unknown length")
    else:
        tag, kind = first >> 2 & 0xF, first & 3
        if kind == 3:
            raise HostError("the key file holds a packet of unknown length")
        size = 1 << kind
        length, position = int.from_bytes(content[start + 1 : start + 1 + size], "big"), start + 1 + size
    body = content[position : position + length]
    if len(body) < length:
        raise IndexError("the last packet is cut off")
    return tag, body, position + length


def _fingerprint(body):
    # RFC 4880 requires SHA-1. A host in FIPS mode allows it only with Python's `usedforsecurity=False` (3.9 and newer).
    allowed = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
    return hashlib.new("sha1", b"\x99" + struct.pack(">H", len(body)) + body, **allowed).hexdigest().upper()


def keys(content):
    """Packets by the fingerprint of each primary key: the key with its names, signatures and subkeys."""
    packets, found, current, position = dearmored(content), {}, None, 0
    try:
        while position < len(packets):
            tag, body, end = _packet(packets, position)
            if tag == PUBLIC_KEY:
                current = None
                if body[0] == 4:
                    current = _fingerprint(body)
            if current:
                found[current] = found.get(current, b"") + packets[position:end]
            position = end
    except (IndexError, struct.error) as error:
        raise HostError(f"the key file is cut off or damaged ({error})") from error
    return found
