"""The tables of a project file, and what brought older files to them.

What lists filter and sort by is kept with each frame by triggers, so that no writer can forget it: counts of labelled
and predicted instances, the lowest score among the predicted, how many instances have occluded points, absent points or
a track, and when labels or state changed last. Any filter is then one pass over the frames.
"""

from __future__ import annotations

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE media (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL);

-- schema: JSON of engine.schema.schema.Schema
CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL, schema BLOB NOT NULL);

-- state: bits 1 reviewed, 2 flagged, 4 negative, 8 nothing found by a model (since version 4)
CREATE TABLE frame (
  media INTEGER NOT NULL, idx INTEGER NOT NULL, name TEXT NOT NULL,
  width INTEGER NOT NULL DEFAULT 0, height INTEGER NOT NULL DEFAULT 0, state INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (media, idx)
) WITHOUT ROWID;

-- keypoints: K x 2 little-endian float64; visibility, by_human: K bytes; scores: K float64; box: 4 float64, xyxy.
-- state: 0 predicted, 1 labelled. num_visible and min_score (of the keypoints) are there for filters.
CREATE TABLE instance (
  id INTEGER PRIMARY KEY, media INTEGER NOT NULL, idx INTEGER NOT NULL, category INTEGER NOT NULL,
  state INTEGER NOT NULL, score REAL, min_score REAL, track INTEGER, source TEXT NOT NULL, num_visible INTEGER NOT NULL,
  keypoints BLOB NOT NULL, visibility BLOB NOT NULL, by_human BLOB NOT NULL, scores BLOB, box BLOB
);
CREATE INDEX instance_frame ON instance (media, idx, state, score);
CREATE INDEX instance_track ON instance (track) WHERE track IS NOT NULL;

-- Steps are numbered 1, 2, ...; meta 'position' is the last one done. before, after: msgpack maps of column to value,
-- all columns where the instance comes or goes, the changed ones otherwise, NULL where it is not there.
CREATE TABLE step (id INTEGER PRIMARY KEY, text TEXT NOT NULL, time REAL NOT NULL, merge_key TEXT NOT NULL);
CREATE TABLE step_instance (
  step INTEGER NOT NULL, instance INTEGER NOT NULL, media INTEGER NOT NULL, idx INTEGER NOT NULL,
  before BLOB, after BLOB
);
CREATE UNIQUE INDEX step_instance_step ON step_instance (step, instance);
CREATE TABLE step_frame (
  step INTEGER NOT NULL, media INTEGER NOT NULL, idx INTEGER NOT NULL, before INTEGER NOT NULL, after INTEGER NOT NULL,
  PRIMARY KEY (step, media, idx)
) WITHOUT ROWID;

-- What was imported, as it was written: records in blocks (zlib of a JSON list), in the order of the file. owners tells
-- per record, as int64, whose it is: image -> media, idx; annotation -> instance; category -> category; -1 nobody's.
CREATE TABLE coco_file (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL, keys BLOB NOT NULL, header BLOB NOT NULL, tracks BLOB NOT NULL
);
CREATE TABLE coco_block (
  id INTEGER PRIMARY KEY, file INTEGER NOT NULL, section TEXT NOT NULL, owners BLOB NOT NULL, records BLOB NOT NULL
);
CREATE INDEX coco_block_file ON coco_block (file, section);
"""

# How a frame's line is made anew after one of its instances came, changed or went: a few look-ups in instance_frame.
_RECOUNT = """
  UPDATE frame SET
    (labelled, predicted, low, occluded, absent, tracked) = (
      SELECT count(CASE WHEN state = 1 THEN 1 END), count(CASE WHEN state = 0 THEN 1 END),
        min(CASE WHEN state = 0 THEN score END), count(CASE WHEN instr(visibility, x'01') THEN 1 END),
        count(CASE WHEN instr(visibility, x'00') THEN 1 END), count(track)
      FROM instance WHERE media = {row}.media AND idx = {row}.idx),
    changed = (julianday('now') - 2440587.5) * 86400.0
  WHERE media = {row}.media AND idx = {row}.idx;
"""
_COME = """
  INSERT INTO frame_category VALUES (new.category, new.media, new.idx, 1)
    ON CONFLICT (category, media, idx) DO UPDATE SET count = count + 1;
"""
_GO = """
  UPDATE frame_category SET count = count - 1
    WHERE category = old.category AND media = old.media AND idx = old.idx;
  DELETE FROM frame_category
    WHERE category = old.category AND media = old.media AND idx = old.idx AND count < 1;
"""
# A new instance only adds: no look at the others of its frame.
_ADD = """
  UPDATE frame SET
    labelled = labelled + (new.state = 1), predicted = predicted + (new.state = 0),
    low = CASE WHEN new.state = 0 AND new.score IS NOT NULL THEN min(coalesce(low, new.score), new.score) ELSE low END,
    occluded = occluded + (instr(new.visibility, x'01') > 0), absent = absent + (instr(new.visibility, x'00') > 0),
    tracked = tracked + (new.track IS NOT NULL), changed = (julianday('now') - 2440587.5) * 86400.0
  WHERE media = new.media AND idx = new.idx;
"""

TO_VERSION_2 = (
    "ALTER TABLE frame ADD COLUMN labelled INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE frame ADD COLUMN predicted INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE frame ADD COLUMN low REAL",
    "ALTER TABLE frame ADD COLUMN occluded INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE frame ADD COLUMN absent INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE frame ADD COLUMN tracked INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE frame ADD COLUMN changed REAL",
    """CREATE TABLE frame_category (
      category INTEGER NOT NULL, media INTEGER NOT NULL, idx INTEGER NOT NULL, count INTEGER NOT NULL,
      PRIMARY KEY (category, media, idx)
    ) WITHOUT ROWID""",
    "CREATE INDEX frame_review ON frame (coalesce(low, 1.0), media, idx) WHERE predicted > 0",
    "CREATE INDEX frame_name ON frame (name COLLATE NOCASE, media, idx)",
    "DROP INDEX instance_track",
    "CREATE INDEX instance_track ON instance (track, media, idx) WHERE track IS NOT NULL",
    """CREATE TEMP TABLE found AS SELECT media, idx,
      count(CASE WHEN state = 1 THEN 1 END) AS labelled, count(CASE WHEN state = 0 THEN 1 END) AS predicted,
      min(CASE WHEN state = 0 THEN score END) AS low, count(CASE WHEN instr(visibility, x'01') THEN 1 END) AS occluded,
      count(CASE WHEN instr(visibility, x'00') THEN 1 END) AS absent, count(track) AS tracked
      FROM instance GROUP BY media, idx""",
    """UPDATE frame SET labelled = f.labelled, predicted = f.predicted, low = f.low, occluded = f.occluded,
      absent = f.absent, tracked = f.tracked FROM temp.found AS f WHERE frame.media = f.media AND frame.idx = f.idx""",
    "DROP TABLE temp.found",
    "INSERT INTO frame_category SELECT category, media, idx, count(*) FROM instance GROUP BY category, media, idx",
    f"CREATE TRIGGER instance_come AFTER INSERT ON instance BEGIN {_ADD} {_COME} END",
    f"CREATE TRIGGER instance_go AFTER DELETE ON instance BEGIN {_RECOUNT.format(row='old')} {_GO} END",
    f"CREATE TRIGGER instance_change AFTER UPDATE ON instance BEGIN {_RECOUNT.format(row='new')} END",
    f"""CREATE TRIGGER instance_category AFTER UPDATE OF category ON instance WHEN old.category <> new.category
      BEGIN {_GO} {_COME} END""",
    """CREATE TRIGGER frame_state AFTER UPDATE OF state ON frame WHEN old.state <> new.state BEGIN
      UPDATE frame SET changed = (julianday('now') - 2440587.5) * 86400.0 WHERE media = new.media AND idx = new.idx;
    END""",
)
"""Statements that make a file of version 1 one of version 2."""

TO_VERSION_3 = (
    # Which file each video was when its labels were made: text of a fingerprint.
    "CREATE TABLE IF NOT EXISTS fingerprint (media INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    # Small pictures of labelled frames, by the content key of their video: they find the frames in another file.
    """CREATE TABLE frame_picture (
      key TEXT NOT NULL, idx INTEGER NOT NULL, picture BLOB NOT NULL, PRIMARY KEY (key, idx)
    ) WITHOUT ROWID""",
    # Another file for a video as part of a step; before, after: msgpack of media_state.MediaState. moved: frame i of
    # the one is not frame i of the other.
    """CREATE TABLE step_media (
      step INTEGER NOT NULL, media INTEGER NOT NULL, moved INTEGER NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL,
      PRIMARY KEY (step, media)
    ) WITHOUT ROWID""",
    # The frame that an instance leaves; the one it comes to is counted by instance_change.
    f"""CREATE TRIGGER instance_leave AFTER UPDATE OF media, idx ON instance
      WHEN old.media <> new.media OR old.idx <> new.idx BEGIN {_RECOUNT.format(row="old")} END""",
    f"""CREATE TRIGGER instance_move AFTER UPDATE OF media, idx ON instance
      WHEN old.category = new.category AND (old.media <> new.media OR old.idx <> new.idx) BEGIN {_GO} {_COME} END""",
)
"""Statements that make a file of version 2 one of version 3."""

TO_VERSION_4 = (
    # Imported label files. path: as media.path. digest: of the content. size, mtime (ns): a quick look whether
    # the file may have changed. complete: 0 while labels are left out because their pictures or video are missing.
    # declined: digest of a content that a person did not want; NULL for none. tracks: JSON, number of each track by its
    # name in the file. archive: id in coco_file, NULL for files that are not COCO.
    """CREATE TABLE IF NOT EXISTS source (
      id INTEGER PRIMARY KEY, path TEXT NOT NULL, kind TEXT NOT NULL, digest BLOB NOT NULL, size INTEGER NOT NULL,
      mtime INTEGER NOT NULL, time REAL NOT NULL, complete INTEGER NOT NULL, declined BLOB, tracks BLOB NOT NULL,
      archive INTEGER
    )""",
    # Which record of a file each pose came from, in blocks: ids of instances and tracks (-1 none) as int64, 8 bytes of
    # digest per pose as it was imported, keys of the records as zlib of a JSON list.
    """CREATE TABLE IF NOT EXISTS source_block (
      id INTEGER PRIMARY KEY, source INTEGER NOT NULL, instances BLOB NOT NULL, tracks BLOB NOT NULL,
      digests BLOB NOT NULL, keys BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS source_block_source ON source_block (source)",
    # Names that files give to tracks.
    "CREATE TABLE IF NOT EXISTS track_name (number INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    # A category that a step renames or gives other limbs, names, colors; before, after: msgpack of the columns that
    # changed.
    """CREATE TABLE IF NOT EXISTS step_category (
      step INTEGER NOT NULL, category INTEGER NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL,
      PRIMARY KEY (step, category)
    ) WITHOUT ROWID""",
)
"""Statements that make a file of version 3 one of version 4."""
