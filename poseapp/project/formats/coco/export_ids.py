"""Ids of several COCO files as the ids of one."""

from __future__ import annotations

from engine.formats.coco.dataset import Id, patch_record

_LARGEST = 1 << 53


class IdMap:
    """Hands out ids of one kind of record: those of a file as they are while free, else the next above all others."""

    def __init__(self) -> None:
        self._new_id: dict[tuple[int, Id], Id] = {}
        self._owner: dict[Id, int] = {}
        self._largest = 0

    def add(self, file: int, identity: Id) -> Id:
        """Take an id of a file. Standing twice in one file, it stays twice; taken by another file, it is changed."""
        known = self._new_id.get((file, identity))
        if known is not None:
            return known
        free = self._owner.setdefault(identity, file) == file
        self.see(identity)
        given = identity if free else self.new()
        self._new_id[file, identity] = given
        return given

    def put(self, file: int, identity: Id, given: Id) -> None:
        """An id of a file that means what ``given`` means."""
        self._new_id[file, identity] = given
        self.see(given)

    def see(self, identity: Id) -> None:
        """New ids lie above this one, unless it is larger than what every reader of JSON takes as a whole number."""
        if isinstance(identity, int) and self._largest < identity < _LARGEST:
            self._largest = identity

    def new(self) -> Id:
        self._largest += 1
        return self._largest

    def of(self, file: int, identity: Id) -> Id:
        """What an id of a file has become; itself where it was never met."""
        return self._new_id.get((file, identity), identity)

    def patched(self, file: int, identity: Id, raw: bytes, key: str) -> bytes:
        """A record with its id as it has become."""
        given = self.of(file, identity)
        return raw if given == identity else patch_record(raw, {key: given})
