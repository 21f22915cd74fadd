"""Following a recording while it is written: the door for those who watch.

``Ring`` and ``Follower`` take what is logged as it comes, ``waiting_in`` and ``present`` the recording as it
is now, and ``is_held`` and ``stamp_of`` tell whether somebody writes it and when its structure changed.
"""

from recorder.h5.file import open_for_reading, open_snapshot
from recorder.h5.following import Follower, Overtaken, Piece
from recorder.h5.lock import is_held, owner_of
from recorder.h5.news import News, news_of
from recorder.h5.present import is_local, opened_ring, present, ring_of, waiting_in, waiting_steps
from recorder.h5.reading.episode import EpisodeIndex
from recorder.h5.reading.guard import attributes
from recorder.h5.reading.stamp import stamp_of
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
    "attributes",
    "is_held",
    "is_local",
    "news_of",
    "open_for_reading",
    "open_snapshot",
    "open_untrusted",
    "opened_ring",
    "owner_of",
    "present",
    "ring_of",
    "stamp_of",
    "waiting_in",
    "waiting_steps",
]
