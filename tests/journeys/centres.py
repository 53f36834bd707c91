"""The demo's heart centres as pooled records: what a run over their nodes is held against."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd

import farr
from farr.lab.hospitals import in_folders
from node.records.mapping import read_mapping
from node.records.prepare import prepare
from queries.agreed.catalogue_file import read_catalogue

DEMO = Path(farr.__file__).parent / "demo"


def pooled(folder):
    """Return the records of all centres as their nodes prepare them, with the centre's id as ``site``."""
    catalogue = read_catalogue((DEMO / "heart.toml").read_bytes(), "heart.toml")
    mapping = read_mapping((DEMO / "heart_mapping.toml").read_bytes(), "heart_mapping.toml")
    table, frames = catalogue.table("angiography"), []
    for hospital in in_folders(DEMO / "data" / "heart", None):
        made = prepare(folder / hospital.id, hospital.folder, mapping, catalogue, bytes(32))
        with duckdb.connect(str(made.path), read_only=True) as connection:
            frame = connection.execute("SELECT * FROM angiography").df()
        for column in table.columns:
            values = frame[column.name]
            if hasattr(column, "codes"):
                codes = [code.code for code in column.codes.codes]
                frame[column.name] = [None if pd.isna(place) else codes[int(place)] for place in values]
            else:
                frame[column.name] = values * float(column.step)
        frames.append(frame.assign(site=hospital.id))
    return pd.concat(frames, ignore_index=True)
