"""The bundled hospitals: small, attributed, unchanged, and wholly described by their catalogue and mapping."""

from __future__ import annotations

import csv
import gzip
import tomllib
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

import farr
from node.records.mapping import read_mapping
from queries.agreed.catalogue import Catalogue, CodeColumn, DateColumn, NumberColumn
from queries.agreed.catalogue_file import read_catalogue

DEMO = Path(farr.__file__).parent / "demo"
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SETS = [("stroke", "admission", "ist"), ("heart", "angiography", "heart")]


def _catalogue(name: str) -> Catalogue:
    return read_catalogue((DEMO / f"{name}.toml").read_bytes(), f"{name}.toml")


def _hospitals(folder: str) -> dict[str, dict]:
    return tomllib.loads((DEMO / "data" / folder / "hospitals.toml").read_text(encoding="utf-8"))


def _rows(folder: str, site: str, table: str) -> list[dict[str, str]]:
    with (DEMO / "data" / folder / site / f"{table}.csv").open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_the_bundle_is_small():
    """Everything that a member downloads for the demo is under 2 MB."""
    assert sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file()) < 2_000_000


@pytest.mark.parametrize("name", ["ist", "heart"])
def test_origin_licence_and_citation_travel_with_the_data(name):
    """Both licences ask for it."""
    text = (DEMO / "data" / name / "SOURCE.md").read_text(encoding="utf-8")
    for word in ("Origin", "Licence", "Citation", "What was done", "doi 10."):
        assert word in text


@pytest.mark.parametrize(("name", "table", "folder"), SETS)
def test_every_hospital_is_listed_with_labels_attributes_and_records(name, table, folder):
    """One folder for each site, as `farr lab` expects it; attributes are codes of the catalogue; both languages."""
    catalogue, hospitals = _catalogue(name), _hospitals(folder)
    assert set(hospitals) == {path.parent.name for path in DEMO.glob(f"data/{folder}/*/{table}.csv")}
    for site, described in hospitals.items():
        assert described["label"].keys() == {"en", "zh"}
        assert described["attributes"].keys() == {attribute.name for attribute in catalogue.site_attributes}
        for attribute, code in described["attributes"].items():
            assert code in catalogue.site_attribute(attribute).codes.index
        assert _rows(folder, site, table)


def test_the_largest_hospitals_of_four_countries_are_there():
    """At least ten, in at least four countries, each of one country only."""
    hospitals = _hospitals("ist")
    assert len(hospitals) == 12
    assert len({described["attributes"]["country"] for described in hospitals.values()}) == 4
    for site, described in hospitals.items():
        rows = _rows("ist", site, "admission")
        assert {f"ist-{row['HOSPNUM']}" for row in rows} == {site}
        assert {row["COUNTRY"] for row in rows} == {described["attributes"]["country"]}


@pytest.mark.parametrize(("name", "table", "folder"), SETS)
def test_labels_are_in_both_languages(name, table, folder):
    """No label of the catalogue is missing in English or in Chinese."""
    catalogue = _catalogue(name)
    labels = [catalogue.label]
    for attribute in catalogue.site_attributes:
        labels += [attribute.label, *(code.label for code in attribute.codes.codes)]
    for described in catalogue.tables:
        labels.append(described.label)
        for column in described.columns:
            labels.append(column.label)
            if isinstance(column, CodeColumn):
                labels += [code.label for code in column.codes.codes]
                labels += [level.label for level in column.codes.levels]
                labels += [group.label for level in column.codes.levels for group in level.groups]
    assert len(labels) > 30
    for label in labels:
        assert label is not None
        assert label.en.isascii()
        assert any("\u4e00" <= letter <= "\u9fff" for letter in label.zh), label


@pytest.mark.parametrize(("name", "table", "folder"), SETS)
def test_every_source_code_is_mapped_or_known_to_be_missing(name, table, folder):
    """Nothing is lost in translation: codes map to codes, months to days, numbers lie within the public bounds."""
    catalogue = _catalogue(name)
    mapping = read_mapping((DEMO / f"{name}_mapping.toml").read_bytes(), f"{name}_mapping.toml")
    mapping.check(catalogue)
    mapped = mapping.table(table)
    rows = [row for site in _hospitals(folder) for row in _rows(folder, site, table)]
    assert mapped.patient == ("row",)
    for column in catalogue.table(table).columns:
        source = mapped.column(column.name)
        (origin,) = source.sources
        found = Counter(row[origin] for row in rows)
        if isinstance(column, CodeColumn):
            values = dict(source.values or ((code, code) for code in column.codes.index))
            assert set(values.values()) <= set(column.codes.index)
            assert set(found) - set(values) <= {"", *source.missing}
            assert len(set(values.values()) & {values.get(code) for code in found}) == len(set(values.values()))
        elif isinstance(column, NumberColumn):
            numbers = [float(text) for text in found if text not in ("", *source.missing)]
            low, high = column.in_units(column.low), column.in_units(column.high)
            assert numbers
            assert all(low <= number <= high for number in numbers)
        else:
            assert isinstance(column, DateColumn)
            for text in found:
                for old, new in source.replace:
                    text = text.replace(old, new)  # noqa: PLW2901  as the mapping does, one after the other
                day = datetime.strptime(text, source.dates[0]).date()  # noqa: DTZ007  a month has no time zone
                assert column.first <= day <= column.last


def test_stroke_records_are_those_of_the_published_file():
    """Each record, by its number, has the values of the trial's own file, and the hospitals are the largest there."""
    origin = SHARED / "ist_stroke_trial" / "ist_17_countries.csv.gz"
    if not origin.exists():
        pytest.skip("the published file is not here")
    with gzip.open(origin, "rt", encoding="utf-8", newline="") as opened:
        published = list(csv.DictReader(opened))
    sizes = Counter(row["HOSPNUM"] for row in published)
    hospitals = _hospitals("ist")
    assert set(hospitals) == {f"ist-{hospital}" for hospital, _ in sizes.most_common(12)}
    for site in hospitals:
        rows = _rows("ist", site, "admission")
        assert len(rows) == sizes[site.removeprefix("ist-")]
        for row in rows:
            original = published[int(row.pop("row")) - 1]
            assert row == {column: original[column] for column in row}


def test_heart_records_are_those_of_the_published_files():
    """Line by line, with only the number and the heading added."""
    folder = SHARED / "uci_heart_4centres"
    if not folder.exists():
        pytest.skip("the published files are not here")
    for site in _hospitals("heart"):
        original = (folder / f"processed.{site}.data").read_text(encoding="utf-8").split()
        lines = (DEMO / "data" / "heart" / site / "angiography.csv").read_text(encoding="utf-8").splitlines()[1:]
        assert lines == [f"{number},{line}" for number, line in enumerate(original, start=1)]
