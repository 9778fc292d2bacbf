"""Which addresses the processes of an account listen on, as Linux tells it in /proc."""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

LISTENING = "0A"
# an unconnected datagram socket can be sent to by anyone who reaches its address
OPEN_DATAGRAM = "07"
TABLES = (("tcp", LISTENING), ("tcp6", LISTENING), ("udp", OPEN_DATAGRAM), ("udp6", OPEN_DATAGRAM))


def listeners(pids: Iterable[int]) -> set[tuple[str, int]]:
    """The (address, port) pairs on which any of the processes can be reached."""
    owned = {inode for pid in pids for inode in _socket_inodes(pid)}
    found = set()
    for table, wanted_state in TABLES:
        for line in _lines(Path("/proc/net") / table):
            fields = line.split()
            if fields[3] == wanted_state and fields[9] in owned:
                found.add(_address(fields[1]))
    return found


def _lines(table: Path) -> list[str]:
    """The sockets of a table of the kernel's; none where the protocol is off."""
    try:
        return table.read_text().splitlines()[1:]
    except FileNotFoundError:
        return []


def _socket_inodes(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]


def _address(text: str) -> tuple[str, int]:
    """An address as the kernel writes it: words in the machine's byte order, in hexadecimal."""
    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)
