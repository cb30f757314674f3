from typing_extensions import disjoint_base

from picows import WSFrame

@disjoint_base
class StoredFrame:
    frame: WSFrame | None
