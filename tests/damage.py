"""One bit of a file that is another one, as a disk or memory that fails leaves it."""

import os
import random
from pathlib import Path


def flip_bit(path: Path, chosen: random.Random) -> int:
    """Flip a random bit and leave size, mode and time of the file as they were; returns the place of its byte."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    # Not in the empty space of a database.
    place = chosen.choice([place for place, byte in enumerate(content) if byte])
    content[place] ^= 1 << chosen.randrange(8)
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return place
