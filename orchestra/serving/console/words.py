"""Every word of the console, in English and Chinese."""

from __future__ import annotations

import json
from functools import cache

from orchestra.pages.wording import OF_RESULTS, Words, worded

WORDS: Words = {
    **OF_RESULTS,
    "console": ("Console", "控制台"),
    "skip_link": ("Skip to the content", "跳到内容"),
    "nav": ("Parts of the console", "控制台各部分"),
    "run": ("Run", "运行"),
    "waiting": ("Waiting", "待回答"),
    "spend": ("Spend", "费用"),
    "needs_script": (
        "The console needs JavaScript. POST /v1/jobs does the same; see /docs.",
        "控制台需要 JavaScript。POST /v1/jobs 也能完成同样的工作，见 /docs。",
    ),
    # the key
    "key": ("Key", "密钥"),
    "key_title": ("This server asks for a key", "此服务器需要密钥"),
    "key_why": (
        "It stays in this tab alone, until the tab is closed, and goes along as a header.",
        "密钥只保存在此标签页中，关闭即清除，并仅作为请求头发送。",
    ),
    "key_use": ("Use it", "使用"),
    "key_forget": ("Forget it", "清除"),
    "cancel": ("Cancel", "取消"),
    # the job
    "job": ("Job", "任务"),
    "drop": ("Drop photos here, or choose them", "将图片拖到此处，或点击选择"),
    "drop_more": ("Drop or choose more", "拖入或选择更多"),
    "drop_how": ("Pasting works, too", "也可以直接粘贴"),
    "remove": ("Remove {name}", "移除 {name}"),
    "photo_of": ("Photo {at}", "图片 {at}"),
    "no_preview": ("no preview", "无法预览"),
    "text": ("Text", "文本"),
    "text_hint": (
        "What a shop says of the product, or a question",
        "商家对商品的描述，或一个问题",
    ),
    "graph": ("Graph", "图"),
    "budget": ("Budget", "预算"),
    "cost_usd": ("Money, $", "金额（美元）"),
    "latency_ms": ("Time, ms", "时间（毫秒）"),
    "tokens": ("Tokens", "Token 数"),
    "no_limit": ("no limit", "不限"),
    "more": ("More", "更多设置"),
    "write_in": ("Write in", "书写语言"),
    "write_auto": ("the text's language", "与文本相同"),
    "write_en": ("English", "英文"),
    "write_zh": ("Chinese", "中文"),
    "data_local": ("Keep the data on this side: local models only", "数据不外传：只用本地模型"),
    "cache_off": ("Take no answer from the cache", "不使用缓存的回答"),
    "tags": ("Tags", "标签"),
    "tags_hint": ("campaign=spring, client=acme", "campaign=spring, client=acme"),
    "tags_wrong": (
        "{tag} is no tag. Write key=value, with commas between several.",
        "{tag} 不是标签。请写成 key=value，多个之间用逗号分隔。",
    ),
    "go": ("Run", "运行"),
    "go_at_most": ("Run, at most {cost}", "运行，最多 {cost}"),
    "stop": ("Stop", "停止"),
    "again": ("New job", "新任务"),
    # the plan
    "plan": ("Plan", "计划"),
    "plan_empty": (
        "Give a text or a photo: the plan appears here, with what it costs at most, before "
        "anything is spent.",
        "请输入文本或添加图片：计划会显示在这里，并给出最高费用；此前不产生任何费用。",
    ),
    "at_most": ("at most", "最多"),
    "expected": ("{cost} expected", "预计 {cost}"),
    "in_time": ("99 of 100 within {time}", "百分之九十九在 {time} 以内"),
    "plan_time": ("time", "用时"),
    "plan_tokens": ("tokens", "Token"),
    "plan_quality": ("quality", "质量"),
    "quality_of": ("mean of what is known, of 100", "已知部分的平均值，满分 100"),
    "why": ("Why these models", "为何选择这些模型"),
    "node": ("Node", "节点"),
    "model": ("Model", "模型"),
    "quality": ("Quality", "质量"),
    "cost_most": ("At most", "最多"),
    "time": ("Time", "用时"),
    "not_taken": ("Not taken", "未采用"),
    "reason": ("Reason", "原因"),
    "more_lines": ("{count} more", "另外 {count} 项"),
    "more_lines_one": ("1 more", "另外 1 项"),
    "remarks": ("To know", "须知"),
    "unknown": ("unknown", "未知"),
    "kind_join": ("joins, costs nothing", "合并，无费用"),
    "kind_own": ("the graph's own code", "图自身的代码"),
    "graph_label": ("The graph's nodes in their order", "按顺序排列的图节点"),
    "state_idle": ("planned", "已计划"),
    "state_running": ("running", "运行中"),
    "state_done": ("done", "完成"),
    "state_failed": ("failed", "失败"),
    "state_passed": ("not run", "未运行"),
    "state_asking": ("asks", "询问"),
    # the run
    "running": ("Running", "运行中"),
    "queued": ("Waiting for its turn …", "正在排队…"),
    "spent_of": ("{spent} of at most {most}", "{spent}，最多 {most}"),
    "tokens_of": ("{spent} of at most {most} tokens", "{spent} 个 Token，最多 {most}"),
    "spent_label": ("Spent of the ceiling", "已用占上限的比例"),
    "answer": ("Answer", "回答"),
    "stopped": ("Stopped. What was begun by then is paid for.", "已停止。此前已开始的部分会计费。"),
    "lost": (
        "The server does not answer. Is it still running? Look there, and try again.",
        "服务器没有回应。它还在运行吗？请检查后重试。",
    ),
    "broken": (
        "The connection broke before the result came. Run it again.",
        "结果返回前连接已中断，请重新运行。",
    ),
    "try_again": ("Try again in {seconds} s.", "请在 {seconds} 秒后重试。"),
    "said_done": ("Finished: {status}, {cost}", "已结束：{status}，{cost}"),
    # the result
    "result": ("Result", "结果"),
    "listing": ("Listing", "商品文案"),
    "evidence": ("Evidence", "依据"),
    "evidence_how": ("Point at a field to see what it rests on.", "指向一个字段，即可查看其依据。"),
    "blank": ("left blank", "留空"),
    "sure": ("Confidence", "置信度"),
    "on_photo": ("on the photo", "在图片上"),
    "on_photo_read": ("on the photo: {words}", "图片上：{words}"),
    "whole_photo": ("the whole photo", "整张图片"),
    "says": ("{source} says", "{source}显示"),
    "differs": ("photo and text disagree", "图文不符"),
    "photo_gone": ("This photo is not kept here.", "此处未保存该图片。"),
    "calls": ("Calls", "调用"),
    "call_tokens": ("{incoming} in, {outgoing} out", "输入 {incoming}，输出 {outgoing}"),
    "reused": ("from the cache", "来自缓存"),
    "notes": ("Notes", "说明"),
    "copy": ("Copy as JSON", "复制 JSON"),
    "copied": ("Copied", "已复制"),
    "answer_it": ("Answer it", "去回答"),
    "state": ("The graph's own state", "图自身的状态"),
    "said_nothing": ("The run said nothing.", "运行没有给出内容。"),
    # runs that wait
    "waiting_none": (
        "No run waits for a person. One whose graph asks stands here until it is answered.",
        "没有等待人工的运行。图提出问题的运行会留在这里，直到得到回答。",
    ),
    "waiting_count": ("{count} runs wait", "{count} 个运行在等待"),
    "waiting_count_one": ("1 run waits", "1 个运行在等待"),
    "left": ("left by its process", "进程已离开"),
    "under_way": ("under way", "进行中"),
    "back": ("All that wait", "全部待回答"),
    "question": ("Question", "问题"),
    "your_answer": ("Your answer", "您的回答"),
    "as_json": ("It is JSON, not text", "这是 JSON，不是文本"),
    "json_wrong": (
        "The answer is no JSON: {problem}. Mend it, or send it as text.",
        "回答不是 JSON：{problem}。请修改，或作为文本发送。",
    ),
    "answer_missing": ("Write an answer first.", "请先写下回答。"),
    "send": ("Answer and go on", "回答并继续"),
    "go_on": ("Go on", "继续"),
    "so_far": ("What is known so far", "目前已知"),
    "held": ("Somebody goes on with it at the moment.", "目前有人正在处理。"),
    # the spend
    "by": ("By", "分组"),
    "by_model": ("model", "模型"),
    "by_tag": ("tag", "标签"),
    "by_node": ("node", "节点"),
    "by_day": ("day", "日期"),
    "by_tenant": ("tenant", "租户"),
    "by_key": ("key", "密钥"),
    "period": ("Period", "时段"),
    "period_month": ("this month", "本月"),
    "period_all": ("all time", "全部时间"),
    "budgets": ("What budgets have left this month", "本月预算余额"),
    "of_server": ("server", "服务器"),
    "of_tenant": ("tenant", "租户"),
    "of_key": ("key", "密钥"),
    "per_day": ("a day", "每日"),
    "per_month": ("a month", "每月"),
    "spent": ("Spent", "已用"),
    "limit": ("Limit", "上限"),
    "budget_left": ("Left", "剩余"),
    "cost": ("Cost", "费用"),
    "count": ("Calls", "调用数"),
    "calls_of": ("{calls} calls", "{calls} 次调用"),
    "calls_of_one": ("1 call", "1 次调用"),
    "tokens_in_all": ("{tokens} tokens", "{tokens} 个 Token"),
    "total": ("Total", "合计"),
    "spend_none": ("Nothing was spent yet.", "尚未产生费用。"),
    "spend_since": (
        "By model alone, since the ledger began. A book (--book FILE) keeps them for good, "
        "by tag and day as well.",
        "仅按模型统计，自记账开始算起。使用账本（--book FILE）可长期保留，并按标签和日期统计。",
    ),
}
SPOKEN = (  # what the page's script says by itself
    "answer_missing",
    "broken",
    "copied",
    "go",
    "go_at_most",
    "json_wrong",
    "lost",
    "no_preview",
    "photo_of",
    "remove",
    "queued",
    "said_done",
    "spent_of",
    "state_asking",
    "state_done",
    "state_failed",
    "state_idle",
    "state_passed",
    "state_running",
    "status_complete",
    "status_failed",
    "status_partial",
    "status_review",
    "status_waiting",
    "stopped",
    "tags_wrong",
    "tokens_of",
    "try_again",
    "drop",
    "drop_more",
)


def word(language: str, key: str, **values: object) -> str:
    """The words under `key`, with `values` put in."""
    return worded(WORDS, language, key, **values)


def word_or(language: str, key: str, otherwise: str) -> str:
    """The words under `key`, or `otherwise` where there are none."""
    return word(language, key) if key in WORDS else otherwise


@cache
def spoken(language: str) -> str:
    """What the page's script says, as JSON."""
    told = {key: WORDS[key][language == "zh"] for key in SPOKEN}
    return json.dumps(told, ensure_ascii=False)
