"""Following a recording while it is written: the door for those who watch.

``Ring`` and ``Follower`` take what is logged as it comes, ``waiting_in`` and ``present`` the recording as it
is now, and ``is_written`` and ``stamp_of`` tell whether somebody writes it and when its structure changed.
"""

from recorder.h5.file import open_for_reading, open_snapshot
from recorder.h5.following import Follower, Overtaken
from recorder.h5.lock import is_local, is_written, owner_of
from recorder.h5.news import News, news_of
from recorder.h5.pieces import Piece
from recorder.h5.present import (
    Standing,
    opened_ring,
    present,
    ring_of,
    standing,
    waiting_in,
    waiting_steps,
)
from recorder.h5.reading.episode import EpisodeIndex
from recorder.h5.reading.guard import attributes
from recorder.h5.reading.kind import is_original
from recorder.h5.reading.stamp import quiet_stamp, stamp_of
from recorder.h5.repair import needs_repair, open_unwritten
from recorder.h5.untrusted import open_untrusted
from recorder.ring.arena import Ring
from recorder.ring.record import ROWS, START

__all__ = [
    "ROWS",
    "START",
    "EpisodeIndex",
    "Follower",
    "News",
    "Overtaken",
    "Piece",
    "Ring",
    "Standing",
    "attributes",
    "is_local",
    "is_original",
    "is_written",
    "needs_repair",
    "news_of",
    "open_for_reading",
    "open_snapshot",
    "open_untrusted",
    "open_unwritten",
    "opened_ring",
    "owner_of",
    "present",
    "quiet_stamp",
    "ring_of",
    "stamp_of",
    "standing",
    "waiting_in",
    "waiting_steps",
]
