"""The tables of a project file."""

from __future__ import annotations

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE media (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, path TEXT NOT NULL);

-- schema: JSON of engine.contract.schema.Schema
CREATE TABLE category (id INTEGER PRIMARY KEY, name TEXT NOT NULL, schema BLOB NOT NULL);

-- state: bits 1 reviewed, 2 flagged, 4 negative
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
