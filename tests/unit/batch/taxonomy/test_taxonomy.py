"""Trees of categories: read in each form, checked, named in two languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestra.batch.taxonomy.read import read_taxonomy
from orchestra.batch.taxonomy.tree import Taxonomy, words_of
from orchestra.core.errors import InvalidTaxonomy

GOOGLE = """# Google_Product_Taxonomy_Version: 2021-09-21
1 - Home
2 - Home > Kitchen
3 - Home > Kitchen > Mugs
4 - Home > Pets
5 - Home > Pets > Toys
6 - Toys
"""
GOOGLE_ZH = """# Google_Product_Taxonomy_Version: 2021-09-21
1 - 家居
2 - 家居 > 厨房
3 - 家居 > 厨房 > 马克杯
4 - 家居 > 宠物
5 - 家居 > 宠物 > 宠物玩具
6 - 玩具
"""
SHOPIFY = """# Shopify Product Taxonomy - Categories: 2024-07
# Format: {GID} : {Ancestor name} > ... > {Category name}

gid://shopify/TaxonomyCategory/hg     : Home & Garden
gid://shopify/TaxonomyCategory/hg-1   : Home & Garden > Mugs: large
"""


def _saved(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def _shopify_json() -> dict[str, Any]:
    root, leaf = "gid://shopify/TaxonomyCategory/hg", "gid://shopify/TaxonomyCategory/hg-1"
    attribute = {"id": "gid://shopify/TaxonomyAttribute/1", "name": "Material", "handle": "m"}
    common = {"level": 0, "children": [], "ancestors": []}
    return {
        "version": "2024.7.1",
        "verticals": [
            {
                "name": "Home",
                "prefix": "hg",
                "categories": [
                    {
                        **common,
                        "id": root,
                        "name": "Home",
                        "full_name": "Home",
                        "parent_id": None,
                        "attributes": [],
                    },
                    {
                        **common,
                        "id": leaf,
                        "name": "Mugs",
                        "full_name": "Home > Mugs",
                        "parent_id": root,
                        "attributes": [{**attribute, "extended": False}],
                    },
                ],
            }
        ],
        "attributes": [
            {
                **attribute,
                "extended_attributes": [],
                "values": [{"id": "gid://shopify/TaxonomyValue/1", "name": "Clay", "handle": "c"}],
            }
        ],
    }


def _names(taxonomy: Taxonomy) -> list[str]:
    return [one.name for one in taxonomy.categories]


def test_google_lines_are_read_with_ids_and_version(tmp_path: Path) -> None:
    found = read_taxonomy(_saved(tmp_path, "google.txt", GOOGLE))
    assert found.version == "2021-09-21"
    assert [(one.id, one.name) for one in found.leaves] == [
        ("3", "Home > Kitchen > Mugs"),
        ("5", "Home > Pets > Toys"),
        ("6", "Toys"),
    ]


def test_shopify_lines_are_read_and_a_colon_stays_in_a_name(tmp_path: Path) -> None:
    found = read_taxonomy(_saved(tmp_path, "categories.txt", SHOPIFY))
    assert found.version == "2024-07"
    assert found.categories[1].path == ("Home & Garden", "Mugs: large")
    assert found.categories[1].id == "gid://shopify/TaxonomyCategory/hg-1"


def test_shopifys_json_has_attributes_and_their_values(tmp_path: Path) -> None:
    found = read_taxonomy(_saved(tmp_path, "taxonomy.json", json.dumps(_shopify_json())))
    assert [one.attributes for one in found.categories if one.path == ("Home", "Mugs")] == [
        ("Material",)
    ]
    assert found.values == {"Material": ("Clay",)}


def test_own_trees_are_nested_names_or_names_with_parents(tmp_path: Path) -> None:
    nested = _saved(tmp_path, "own.yaml", "Home:\n  Kitchen: [Mugs, Pans]\n  Pets: {Toys: }\n")
    assert _names(read_taxonomy(nested)) == [
        "Home",
        "Home > Kitchen",
        "Home > Kitchen > Mugs",
        "Home > Kitchen > Pans",
        "Home > Pets",
        "Home > Pets > Toys",
    ]
    table = _saved(
        tmp_path,
        "own.csv",
        "name,parent,zh,synonyms,attributes\nMugs,Home,杯子,cup|beaker,Material\nHome,,家,,\n",
    )
    found = read_taxonomy(table)
    assert _names(found) == ["Home > Mugs", "Home"]
    assert found.categories[0].synonyms == ("cup", "beaker")
    assert found.categories[0].attributes == ("Material",)
    bare = _saved(tmp_path, "paths.txt", "Home > Kitchen > Mugs\nHome > Kitchen > Pans\n")
    assert [one.name for one in read_taxonomy(bare).leaves] == [
        "Home > Kitchen > Mugs",
        "Home > Kitchen > Pans",
    ]


def test_two_languages_are_joined_by_id(tmp_path: Path) -> None:
    english = read_taxonomy(_saved(tmp_path, "en.txt", GOOGLE))
    chinese = read_taxonomy(_saved(tmp_path, "zh.txt", GOOGLE_ZH))
    both = english.with_chinese(chinese).with_synonyms({"mugs": ["cup"], "Toys": ["plaything"]})
    words = words_of(both.leaves)
    assert words["Home > Kitchen > Mugs"] == ("Mugs", "马克杯", "cup")
    # "Toys" alone is the root of that name, so it is no word for the pets' own.
    assert words["Home > Pets > Toys"] == ("宠物玩具",)
    assert words["Toys"] == ("玩具", "plaything")
    with pytest.raises(InvalidTaxonomy, match="shares no id"):
        english.with_chinese(read_taxonomy(_saved(tmp_path, "p.txt", "家居 > 厨房\n")))


def test_branches_and_synonyms_that_are_not_there_name_the_nearest(tmp_path: Path) -> None:
    tree = read_taxonomy(_saved(tmp_path, "en.txt", GOOGLE))
    assert [one.name for one in tree.under(["home > pets"]).leaves] == ["Home > Pets > Toys"]
    with pytest.raises(InvalidTaxonomy, match=r"'Home > Petz' is not among.*'Home > Pets'"):
        tree.under(["Home > Petz"])
    with pytest.raises(InvalidTaxonomy, match=r"no category 'Mug'.*Did you mean"):
        tree.with_synonyms({"Mug": ["cup"]})
    doubled = read_taxonomy(_saved(tmp_path, "d.txt", "A > Toys\nB > Toys\n"))
    with pytest.raises(InvalidTaxonomy, match="means 2 categories: 'A > Toys' and 'B > Toys'"):
        doubled.with_synonyms({"Toys": ["plaything"]})


BAD = {
    "twice.txt": (GOOGLE + "9 - home > pets\n", r"line 8: 'home > pets' stands twice.*line 5"),
    "id.txt": (GOOGLE + "6 - Home > Pans\n", r"line 8: '6' stands twice.*'Toys'"),
    "cut.txt": ("1 - Home\n3 - Home > Kitchen > Mugs\n", r"below 'Home > Kitchen', which.*cut off"),
    "mixed.txt": (GOOGLE + "Home ; Pans\n", r"line 8: 'Home ; Pans' is no category"),
    "page.txt": ("<!DOCTYPE html>\n<html>\n", r"line 1: '<!DOCTYPE html>' is no category"),
    "step.txt": ("1 - Home\n2 - Home >  > Mugs\n", r"line 2: .* a step without a name"),
    "empty.txt": ("# nothing\n", r"names no category"),
    "lfs.json": ("version https://git-lfs.github.com/spec/v1\n", r"pointer of Git LFS"),
    "cut.json": ('{"verticals": [', r"is no JSON.*cut off"),
    "other.json": ('{"verticals": [{"categories": [{"id": 3}]}]}', r"verticals.0.categories.0.id"),
    "list.yaml": ("- Mugs\n", r"holds \['Mugs'\], and no tree"),
    "loop.yaml": ("Home: &home\n  Kitchen: *home\n", r"contains itself"),
    "beside.yaml": ("Home: [Mugs, mugs]\n", r"'Home > mugs' stands twice"),
    "word.yaml": ("Home: [true]\n", r"stands True, which is no name"),
    "circle.csv": ("name,parent\nA,B\nB,A\n", r"its own ancestor: [AB] > [AB] > [AB]\."),
    "self.csv": ("name,parent\nA,A\n", r"'A' is its own ancestor: A > A"),
    "orphan.csv": ("name,parent\nMugs,Kitchn\nKitchen,\n", r"parent 'Kitchn'.*mean 'Kitchen'"),
    "double.csv": ("name,parent\nA,\nA,\n", r"row 2: 'A' stands twice \(first in row 1\)"),
    "columns.csv": ("title,above\nA,\n", r"no column 'name' \(it has: title, above\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_doubles_and_circles_are_told(tmp_path: Path, name: str) -> None:
    text, told = BAD[name]
    with pytest.raises(InvalidTaxonomy, match=told):
        read_taxonomy(_saved(tmp_path, name, text))


def test_shopifys_own_json_with_a_circle_is_told(tmp_path: Path) -> None:
    raw = _shopify_json()
    raw["verticals"][0]["categories"][0]["parent_id"] = "gid://shopify/TaxonomyCategory/hg-1"
    with pytest.raises(InvalidTaxonomy, match="its own ancestor"):
        read_taxonomy(_saved(tmp_path, "taxonomy.json", json.dumps(raw)))


def test_bytes_that_are_no_text_and_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes("1 - Caf\xe9".encode("latin-1"))
    with pytest.raises(InvalidTaxonomy, match="not UTF-8 at byte 7"):
        read_taxonomy(path)
    with pytest.raises(InvalidTaxonomy, match="cannot be read: No such file"):
        read_taxonomy(tmp_path / "none.txt")
