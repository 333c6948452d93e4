"""A long line: relays Ethernet frames between two interfaces, late, and some of them never.

Run by tests.support.lab in the network of its bridge: not every kernel has netem, which would do the same.

    python -S far.py plain INTERFACE                                   whole frames with checksums from now on
    python -S far.py relay INTERFACE INTERFACE DELAY_MS LOSS_PERCENT
"""

import array
import fcntl
import heapq
import random
import select
import socket
import struct
import sys
import time

_ETH_P_ALL = 3  # linux/if_ether.h
_SIOCETHTOOL = 0x8946  # linux/sockios.h
_ETHTOOL_STXCSUM = 0x17  # linux/ethtool.h
_FRAME_BYTES = 65_550


def plain(interface: str) -> None:
    """Have the kernel finish checksums before this interface: a relayed frame brings its own."""
    value = array.array("I", [_ETHTOOL_STXCSUM, 0])
    request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


def relay(names: list[str], delay_s: float, loss: float) -> None:
    ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL)) for _ in names]
    for end, name in zip(ends, names, strict=True):
        end.bind((name, 0))
    waiting: list[tuple[float, int, int, bytes]] = []
    count = 0
    while True:
        pause_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(ends, [], [], pause_s)[0]:
            frame, address = end.recvfrom(_FRAME_BYTES)
            if address[2] == socket.PACKET_OUTGOING or random.random() < loss:
                continue
            count += 1
            heapq.heappush(waiting, (time.monotonic() + delay_s, count, ends.index(end), frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, source, frame = heapq.heappop(waiting)
            ends[1 - source].send(frame)


if sys.argv[1] == "plain":
    plain(sys.argv[2])
else:
    relay(sys.argv[2:4], float(sys.argv[4]) / 1000, float(sys.argv[5]) / 100)
