"""Every word of the report, in English and Chinese.

The page is written in English, each word with its key, and turns to Chinese in the browser. What
models and errors said stays in the words of the record.
"""

from __future__ import annotations

import json
from functools import cache

from markupsafe import Markup

from orchestra.pages.wording import LANGUAGES, OF_RESULTS, Words

WORDS: Words = {
    **OF_RESULTS,
    "skip": ("Skip to the products", "跳到商品"),
    "kicker": ("Orchestra · catalog report", "Orchestra · 商品目录报告"),
    "language": ("Language", "语言"),
    "print": ("Print the summary", "打印摘要"),
    # the head
    "rows": ("rows", "行数"),
    "status_rejected": ("rejected", "已否决"),
    "not_run": ("not run", "未运行"),
    "contradictions": ("contradictions", "图文矛盾"),
    "reused": ("photos reused", "图片复用"),
    "cached": ("calls from the cache", "缓存调用"),
    "saved": ("(saved {usd})", "（节省 {usd}）"),
    "spend": ("spend", "费用"),
    "overrun": ("above bounds", "超出上限"),
    "presumed": ("presumed", "推定费用"),
    "time": ("time", "用时"),
    "models_used": ("Models used:", "使用的模型："),
    "on_rows": ("on {rows} rows", "用于 {rows} 行"),
    "no_model": ("No model was called.", "没有调用模型。"),
    "plans": ("Plans:", "方案："),
    # the manager's page
    "at_a_glance": ("At a glance", "概览"),
    "usable": (
        "{complete} of {rows} products ({share}) are complete and can be used as they are.",
        "{rows} 件商品中有 {complete} 件（{share}）完整，可直接使用。",
    ),
    "for_person": (
        "{rows} need a person: {review} for review, {partial} partial, {failed} failed, "
        "{waiting} waiting for an answer.",
        "{rows} 件需要人工处理：{review} 件待审，{partial} 件部分完成，{failed} 件失败，"
        "{waiting} 件等待回答。",
    ),
    "came_to": ("It came to {usd} in {time}.", "共花费 {usd}，用时 {time}。"),
    "quote": ("Planned and actual", "计划与实际"),
    "quote_spend_usd": ("spend", "费用"),
    "quote_seconds": ("time", "用时"),
    "quote_quality": ("quality", "质量"),
    "quoted": ("quoted", "报价"),
    "interval": ("interval", "区间"),
    "actual": ("actual", "实际"),
    "within": ("within", "在区间内"),
    "outside": ("outside", "超出区间"),
    "not_compared": ("not compared", "未比较"),
    "why_person": ("Why rows need a person", "需要人工处理的原因"),
    "reason": ("reason", "原因"),
    "more_reasons": ("{count} more reasons", "另有 {count} 种原因"),
    "filled": ("What is filled in", "字段填写情况"),
    "field": ("field", "字段"),
    "filled_share": ("filled in", "已填写"),
    "from_photo": ("from photo", "来自图片"),
    "from_text": ("from text", "来自文本"),
    "from_both": ("from both", "来自两者"),
    "from_person": ("by a person", "人工"),
    "doubled": ("Duplicates and variants", "重复与变体"),
    "doubled_duplicate": (
        "{rows} rows say the same products more than once (groups: {groups}).",
        "{groups} 组共 {rows} 行描述了同一商品。",
    ),
    "doubled_variant": (
        "{rows} rows differ from others only in size or colour (groups: {groups}).",
        "{groups} 组共 {rows} 行仅尺码或颜色不同。",
    ),
    "doubled_photo": (
        "{rows} rows share photos though their texts differ (groups: {groups}).",
        "{groups} 组共 {rows} 行文本不同但使用同一图片。",
    ),
    "doubled_repeat": (
        "Rows that show one photo twice: {rows}.",
        "{rows} 行重复使用了同一图片。",
    ),
    "doubled_where": (
        "duplicates.csv lists them; no row was dropped.",
        "详见 duplicates.csv；没有删除任何行。",
    ),
    # the tools
    "filter_label": ("Filter the products", "筛选商品"),
    "search": ("Search ids, names, values", "搜索编号、名称、值"),
    "status": ("Status", "状态"),
    "all": ("all", "全部"),
    "reason_label": ("Reason", "原因"),
    "any_reason": ("any reason", "不限原因"),
    "kin_duplicate": ("duplicates", "重复"),
    "kin_variant": ("variants", "变体"),
    "kin_photo": ("shared photo", "共用图片"),
    "kin_repeat": ("photo twice", "图片重复"),
    "order": ("Order", "排序"),
    "order_person": ("likeliest fault first", "最可能有误的优先"),
    "order_table": ("as in the table", "按表格顺序"),
    "order_sure": ("least confident first", "置信度低的优先"),
    "order_cost": ("most expensive first", "费用高的优先"),
    "count": ("{from} to {to} of {rows}", "第 {from} 至 {to} 件，共 {rows} 件"),
    "count_none": ("0 of {rows}", "0 件，共 {rows} 件"),
    "previous": ("Previous", "上一页"),
    "next": ("Next", "下一页"),
    "page_label": ("Page", "页"),
    "page_of": ("of {pages}", "共 {pages} 页"),
    "pages": ("Pages", "分页"),
    "loading": ("Loading …", "正在载入…"),
    "not_loaded": (
        "The rows stand in the folder {folder} beside this page, and it is not there or cannot be "
        "read. Keep both together.",
        "商品数据位于本页旁的文件夹 {folder}，未找到或无法读取。请将两者放在一起。",
    ),
    "legend": ("Each value says where it comes from:", "每个值都注明来源："),
    "legend_more": (
        "Open a value to see its evidence. The bar is the model's own probability for the value, "
        "not yet calibrated: compare values with it, do not read it as a rate of being right.",
        "点开一个值可查看其依据。横条是模型自身给出的概率，尚未校准：可用于比较，不代表正确率。",
    ),
    "policy": ("By the policy:", "按策略："),
    "show_all": ("Show all evidence", "显示全部依据"),
    "hide_all": ("Hide all evidence", "隐藏全部依据"),
    "wait_for": (
        "{waiting} of {rows} rows wait for a person.",
        "{rows} 行中有 {waiting} 行等待人工回答。",
    ),
    "wait_how": (
        "`orchestra resume` lists what they ask, and takes the answers; so does the column "
        "“answer” of waiting.csv.",
        "`orchestra resume` 会列出问题并接收回答；也可填写 waiting.csv 的 answer 列。",
    ),
    "not_done": (
        "{pending} of {rows} rows are not done yet. Run the same command again: it goes on where "
        "it stopped.",
        "{rows} 行中有 {pending} 行尚未完成。再次运行同一命令即可继续。",
    ),
    "cut": (
        "{shown} of {rows} rows are shown, first those that need a person. The other {left} are "
        "not on this page; {table} has every row.",
        "仅显示 {rows} 行中的 {shown} 行，需人工处理的优先。其余 {left} 行不在本页，"
        "{table} 包含全部。",
    ),
    "no_rows": ("This table has no rows.", "此表没有行。"),
    "nothing": (
        "No product matches. Clear the search or choose another status.",
        "没有符合的商品。请清除搜索或选择其他状态。",
    ),
    "needs_script": (
        "The rows of a table of this size are shown by JavaScript, which is off. {table} has them.",
        "此规模的表需要 JavaScript 才能显示，当前已关闭。数据见 {table}。",
    ),
    # one product
    "photo_bad": ("photo not usable", "图片无法使用"),
    "no_photo": ("no photo", "无图片"),
    "photo_reused": ("photo reused", "图片复用"),
    "confidence": ("confidence", "置信度"),
    "no_confidence": ("no confidence", "无置信度"),
    "source_none": ("none", "无"),
    "says_photo": ("photo says", "图片显示"),
    "says_text": ("text says", "文本显示"),
    "says_both": ("photo + text says", "图片与文本显示"),
    "says_derived": ("derived says", "推得"),
    "says_person": ("person says", "人工认为"),
    "says_none": ("none says", "无"),
    "disagree": ("photo and text disagree", "图文不符"),
    "stale": ("it reads something else since a person decided", "人工决定之后读法有变"),
    "part_of_photo": ("The marked part of the photo", "图片中标出的部分"),
    "whole_photo": ("The whole photo", "整张图片"),
    "bright": ("; bright: what counted most", "；亮处影响最大"),
    "printed": (", printed there:", "，其上印有："),
    "read_photo": ("Read from the photo; no thumbnail was kept.", "读自图片；未保留缩略图。"),
    "no_evidence": ("No evidence was recorded.", "没有记录依据。"),
    "model": ("model", "模型"),
    "prompt": ("prompt", "提示"),
    "in_stage": ("in {stage}", "于 {stage}"),
    "blank": ("Left blank:", "留空："),
    "unsaid": ("Neither photo nor text says it.", "图片和文本都没有说明。"),
    "listing": ("Listing", "商品文案"),
    "rests_on": ("What this rests on", "依据"),
    "row": ("row {ordinal}", "第 {ordinal} 行"),
    "fault": ("fault {share}", "有误概率 {share}"),
    # below the products
    "can_cannot": ("What these models can and cannot do", "这些模型能做和不能做的"),
    "can": ("can", "能"),
    "cannot": ("cannot", "不能"),
    "measured": ("measured", "实测"),
    "price": ("price", "价格"),
    "errors": ("Errors", "错误"),
    "errors_where": ("The whole list is in errors.jsonl.", "完整列表见 errors.jsonl。"),
    "no_errors": ("No row had an error.", "没有出错的行。"),
    "col_row": ("row", "行"),
    "col_id": ("id", "编号"),
    "col_stage": ("stage", "阶段"),
    "col_type": ("type", "类型"),
    "col_what": ("what happened, and the cure", "发生了什么，如何处理"),
}


def word(key: str, **values: object) -> Markup:
    """The English words under `key` as an element that the page can turn to Chinese."""
    if not values:
        return _plain(key)
    told = {name: _told(value) for name, value in values.items()}
    text = WORDS[key][0].format(**told)
    given = json.dumps(told, ensure_ascii=False)
    return Markup('<span data-w="{}" data-v="{}">{}</span>').format(key, given, text)


@cache
def _plain(key: str) -> Markup:
    return Markup('<span data-w="{}">{}</span>').format(key, WORDS[key][0])


def said(attribute: str, key: str) -> Markup:
    """The words under `key` as an attribute that the page can turn to Chinese."""
    return Markup('{}="{}" data-a="{}:{}"').format(attribute, WORDS[key][0], attribute, key)


def words_json() -> str:
    """All words by language and key, for the page's script."""
    tables = {
        name: {key: pair[at] for key, pair in WORDS.items()} for at, name in enumerate(LANGUAGES)
    }
    return json.dumps(tables, ensure_ascii=False, separators=(",", ":"))


def _told(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
