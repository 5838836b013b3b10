"""What a compound names: a tomato knife is a knife, an apple pie a pie, 苹果手机 a phone. Pure.

English and Chinese put the thing last, and what stands before it says which. So a word that names
a kind of thing does not name the product where one of these words follows it.
"""

from __future__ import annotations

import re

# Tools for it, things made of it, what carries its picture or name. Forms and packs of a thing
# (milk powder, tea bags, a gift box) are the thing still, and are not here.
HEADS = """
baller basin beer biscuit biscuits blender board book books bowl bracket bread brush brushes
cabinet cake cakes candies candle candles candy card cards case cases cereal charger chips
chocolate chutney cider cleaner clip clips cocktail compote cooker cookie cookies creamer crisps
crumble cutter cutters decor detergent dispenser dryer earrings figurine filter flavouring flour
folder frother grater grinder guard gum hanger hangers holder holders hook hooks ice insert
inserts iron jam jelly juicer ketchup keychain keyring knife knives laces lamp lamps lemonade
liqueur lotion machine maker marmalade masher mat mill mold mould mousse muffin muffins mug mugs
necklace noodles oil opener organiser organizer ornament paste peeler pendant perfume pesto
phone pickle pickles pie pies pillow pizza plate plush polish poster press presser print pudding
puzzle rack racks relish remover ring rings roaster salad sauce scraper seasoning seed seeds
shampoo sharpener shelf shredder slicer snack snacks soap socks soda soup spoon spray spread
squeezer stand starch steak steamer stew sticker stickers strap straps stretcher strudel sweets
syrup table tart tea teas tonic toy toys tree trees vase vinegar vodka wax wine wrapper wraps
"""
NEXT = re.compile(rf"[\s-]+(?:{'|'.join(HEADS.split())})\b", re.I)
NEXT_ZH = re.compile(
    r"手机|电脑|平板|耳机|手表|充电|数据线|[壳派饼干酱糖茶醋酒油刀叉勺锅架垫钩刷灯种苗树]"
    r"|削皮|去皮|切片|榨汁|收纳|支架|挂件|玩具|贴纸|香皂|香水|洗发|蛋糕|面包|沙拉|罐头|果脯|蜜饯"
)


def is_part(text: str, end: int) -> bool:
    """Whether a word that ends at `end` only says which thing the next word names."""
    return bool(NEXT.match(text, end) or NEXT_ZH.match(text, end))
