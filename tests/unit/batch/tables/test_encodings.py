"""Encodings: what is plausible as text wins, mixed files are read line by line, doubts are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.batch.tables.encodings import scan
from orchestra.batch.tables.plausible import best_guess
from orchestra.batch.tables.reading import ReadAs
from orchestra.batch.tables.source import Source
from orchestra.batch.tables.table import Table, open_table
from orchestra.core.errors import InvalidTable

# What shops write, in the code page that Excel or an old shop saves it in.
WRITTEN = [
    ("cp1252", ["Bühler Äpfel, süß und saftig", "Käse aus Österreich", "Tür für Küche – weiß"]),
    ("cp1252", ["Crème fraîche épaisse", "Pâtes à l’huile d’olive", "Gâteau au chocolat noir"]),
    ("cp1252", ["Piña colada sin azúcar", "Camiseta de algodón para niño", "Jamón ibérico"]),
    ("cp1252", ["Maçã verde orgânica", "Pão de queijo congelado", "Feijão preto"]),
    ("cp1252", ["Caffè macinato", "Tè verde biologico", "Qualità superiore"]),
    ("cp1252", ["Äpple från Skåne", "Grönsak på rågbröd", "Tröja för män"]),
    ("cp1252", ["Økologisk mælk", "Rugbrød med kærne", "Æble fra Fyn"]),
    ("cp1252", ["Íslenskt smjör", "Þorskur úr Norður-Atlantshafi", "Rauð peysa"]),
    ("cp1252", ["ÄPFEL GRÜN", "KÄSE AUS ÖSTERREICH"]),
    ("cp1252", ["Green apple", "A dry rosé from Provence", "Ripe banana"]),
    ("cp1252", ["Men’s t-shirt – 100% cotton", "Café au lait", "Temperature 35 °C"]),
    ("cp1250", ["Jabłko zielone z Włoch", "Gruszka żółta", "Koszulka męska bawełna"]),
    ("cp1250", ["Červené jablko z Česka", "Dětské tričko bavlněné", "Žlutý sýr"]),
    ("cp1250", ["Măr verde", "Brânză de vacă", "Pâine neagră"]),
    ("cp1254", ["Yeşil elma", "Kadın tişört pamuklu", "Çocuk ayakkabısı"]),
    ("cp1257", ["Žalias obuolys", "Moteriški marškinėliai", "Šviežias pienas"]),
    ("cp1251", ["Зелёное яблоко из Италии", "Футболка мужская хлопок"]),
    ("cp1251", ["Зелене яблуко з Італії", "Чоловіча футболка", "Свіже молоко"]),
    ("koi8_r", ["Зелёное яблоко из Италии", "Футболка мужская хлопок", "Свежее молоко"]),
    ("cp866", ["Зелёное яблоко из Италии", "Футболка мужская хлопок", "Свежее молоко"]),
    ("cp1253", ["Πράσινο μήλο", "Ανδρικό μπλουζάκι βαμβακερό"]),
    ("cp1255", ["תפוח ירוק", "חולצת כותנה לגברים"]),
    ("cp1256", ["تفاح أخضر", "قميص قطني رجالي"]),
    ("cp874", ["แอปเปิ้ลเขียว", "เสื้อยืดผู้ชาย", "นมสด"]),
    ("gb18030", ["红色纯棉衬衫，适合夏天穿着", "新鲜苹果汁"]),
    ("gb18030", ["联通手机", "绒面 躺椅"]),
    ("big5", ["青森蘋果 180 克", "純棉襯衫", "新鮮牛奶 台灣製造"]),
    ("shift_jis", ["青森県産りんご", "綿100％のシャツ", "新鮮な牛乳"]),
    ("shift_jis", ["ﾘﾝｺﾞｼﾞｭｰｽ", "りんごジュース", "男性用 革靴"]),
    ("euc_jp", ["青森県産りんご", "綿100％のシャツ", "新鮮な牛乳"]),
    ("iso2022_jp", ["青森県産りんご", "綿100％のシャツ"]),
    ("euc_kr", ["사과 주스", "면 티셔츠 남성용", "신선한 우유"]),
    ("cp949", ["남성용 가죽 구두 블랙", "국내산 한우 등심 1등급"]),
    ("mac_roman", ["Crème fraîche épaisse", "Bühler Äpfel, süß", "Piña colada"]),
    ("cp850", ["Bühler Äpfel, süß und saftig", "Käse aus Österreich"]),
    ("cp850", ["Jambon fumé à l'ancienne", "Crème fraîche"]),
    ("cp852", ["Jabłko zielone z Włoch", "Gruszka żółta", "Świeży sok pomarańczowy"]),
]


def written(folder: Path, content: bytes, read_as: ReadAs | None = None) -> Table:
    path = folder / "products.csv"
    path.write_bytes(content)
    return open_table(path, read_as or ReadAs())


def csv_of(texts: list[str]) -> str:
    return "sku,name\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(texts, 1))


def names(table: Table) -> list[str]:
    return [row.values["name"] for row in table.rows()]


@pytest.mark.parametrize(
    ("encoding", "texts"), WRITTEN, ids=[f"{page}-{texts[0][:6]}" for page, texts in WRITTEN]
)
def test_a_table_is_read_in_the_code_page_that_makes_text_of_it(
    tmp_path: Path, encoding: str, texts: list[str]
) -> None:
    found = written(tmp_path, csv_of(texts).encode(encoding))
    assert names(found) == texts
    assert not [row.error for row in found.rows() if row.error]
    assert "by its letters" in found.told[0]


@pytest.mark.parametrize(
    ("encoding", "strange"),
    [("cp1252", "Käse aus Österreich"), ("gb18030", "红色纯棉衬衫"), ("cp932", "青森県産りんご")],
)
def test_a_line_in_another_encoding_is_read_in_its_own_and_told(
    tmp_path: Path, encoding: str, strange: str
) -> None:
    usual = ["Äpfel", "Grüne Äpfel", "Öl"]
    content = csv_of(usual).encode() + f'4,"{strange}"\n'.encode(encoding)
    found = written(tmp_path, content)
    assert names(found) == [*usual, strange]
    assert found.told[1].startswith("WARNING: 1 line (the first at byte")


def test_one_strange_line_among_many_of_ascii_is_found(tmp_path: Path) -> None:
    many = [f"A green apple number {n}" for n in range(2_000)]
    content = csv_of([*many, "Äpfel aus Südtirol"]).encode() + b'2002,"K\xe4se"\n'
    assert names(written(tmp_path, content))[-2:] == ["Äpfel aus Südtirol", "Käse"]


def test_text_that_was_encoded_twice_is_mended_and_told(tmp_path: Path) -> None:
    texts = ["GrÃ¼ne Ã„pfel", "35 Â°C", "è‹¹æžœ", "CAFÉ¹", "Crème fraîche"]
    found = written(tmp_path, csv_of(texts).encode())
    assert names(found) == ["Grüne Äpfel", "35 °C", "苹果", "CAFÉ¹", "Crème fraîche"]
    assert any("encoded twice" in line for line in found.told)


def test_an_encoding_that_is_named_is_taken(tmp_path: Path) -> None:
    content = csv_of(["Nõi póló"]).encode("cp1252")
    assert names(written(tmp_path, content, ReadAs(encoding="cp1250"))) == ["Női póló"]
    assert names(written(tmp_path, content, ReadAs(encoding="windows-1252"))) == ["Nõi póló"]
    with pytest.raises(InvalidTable, match=r"no encoding 'latin-99'.*such as utf-8"):
        written(tmp_path, content, ReadAs(encoding="latin-99"))


def test_a_named_encoding_that_does_not_fit_costs_the_rows_it_does_not_fit(tmp_path: Path) -> None:
    found = written(tmp_path, "id,name\n1,a\n2,红色\n".encode("gbk"), ReadAs(encoding="ascii"))
    assert [bool(row.error) for row in found.rows()] == [False, True]


def test_two_code_pages_that_may_both_be_meant_are_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(csv_of(["Gyümölcslé őszibarack"]).encode("cp1250"))
    found = scan(Source.of(path))
    assert found.told[1].startswith("WARNING: its letters may also be")
    assert "--encoding" in found.told[1]


def test_bytes_of_no_text_are_no_code_page() -> None:
    assert best_guess([b"1,\xff\xff"]) == (None, "")
    assert best_guess([b"2,\xe8\x8b"]) == (None, "")


def test_blocks_may_end_inside_a_line(tmp_path: Path) -> None:
    filler = "x" * ((1 << 20) - 20)
    found = written(tmp_path, f"sku,name\n1,{filler}\n2,Käse aus Österreich\n".encode("cp1252"))
    assert names(found)[1] == "Käse aus Österreich"
