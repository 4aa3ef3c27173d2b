"""What a training scene can show, and how each thing is called in English and Chinese.

Knows names only: nothing here draws, reads art files or trains.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent

#: Background (the key, which is also its English phrase) -> Chinese phrase.
BACKGROUNDS: dict[str, str] = {
    "plain white": "纯白色",
    "plain pink": "纯粉色",
    "plain yellow": "纯黄色",
    "a blue sky with clouds": "蓝天白云",
    "a green meadow": "绿草地",
    "a forest": "森林",
    "an autumn forest": "秋天的森林",
    "a snowy mountain": "雪山",
    "a starry night": "星空",
    "a sunset": "夕阳",
    "a sandy beach": "沙滩",
    "under the sea": "海底",
    "outer space": "太空",
    "a desert": "沙漠",
    "a city skyline": "城市天际线",
    "a night city with neon lights": "霓虹闪烁的城市夜景",
    "a rainy street": "下雨的街道",
    "a river": "河流",
    "a mountain lake": "山间湖泊",
    "a cherry blossom garden": "樱花园",
    "a living room": "客厅",
    "a kitchen": "厨房",
    "a castle": "城堡",
    "a farm field": "农田",
    "the polar ice": "极地冰原",
}

#: Lens -> Chinese phrase.
LENSES: dict[str, str] = {"close-up": "特写", "medium shot": "中景", "panoramic": "全景"}

#: Style -> Chinese phrase. The first four are art families, the others filters over one of them.
STYLES: dict[str, str] = {
    "3D render": "3D渲染",
    "flat illustration": "扁平插画",
    "cartoon": "卡通",
    "sticker": "贴纸",
    "line drawing": "线稿",
    "watercolor": "水彩",
    "pixel art": "像素画",
    "black and white sketch": "黑白素描",
    "oil painting": "油画",
    "paper cut": "剪纸",
    "neon": "霓虹",
    "ukiyo-e": "浮世绘",
}


@dataclass(frozen=True)
class Scene:
    """One picture to render: a subject in front of a background.

    subject: an emoji label (see SUBJECTS); background, lens, style: keys of the tables above.
    seed: any integer; it varies the small accidents of the background (0 is as good as any).
    art: "varied" takes each style's own art set, so the drawing of the subject changes with the style;
    "same" keeps one drawing of the subject in every style (what the starter painter is trained on).
    jitter: 0 puts the subject at its lens's fixed place and size; up to 1 moves it by up to 6% of the side.
    flip: the subject looks the other way.
    """

    subject: str
    background: str = "plain white"
    lens: str = "medium shot"
    style: str = "flat illustration"
    seed: int = 0
    art: str = "varied"
    jitter: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        for value, table in ((self.background, BACKGROUNDS), (self.lens, LENSES), (self.style, STYLES)):
            if value not in table:
                raise ValueError(f"unknown scene field {value!r}; one of {list(table)}")
        if self.art not in ("varied", "same"):
            raise ValueError(f"art is 'varied' or 'same', not {self.art!r}")


@dataclass(frozen=True)
class Subject:
    """A subject the starter painter learns: its emoji label, its names and what may be said of it."""

    label: str
    en: tuple[str, ...]
    zh: tuple[str, ...]
    measure: str
    adjectives_en: tuple[str, ...]
    adjectives_zh: tuple[str, ...]
    animal: bool


@cache
def labels() -> dict[str, str]:
    """Every emoji label that exists in all four art sets -> its Chinese name."""
    loaded: dict[str, str] = json.loads((_HERE / "labels.json").read_text(encoding="utf-8"))
    return loaded


@cache
def painter_subjects() -> dict[str, Subject]:
    """The starter painter's subjects by label."""
    rows = json.loads((_HERE / "subjects.json").read_text(encoding="utf-8"))
    return {row["label"]: _subject(row) for row in rows}


def _subject(row: dict[str, object]) -> Subject:
    def words(key: str) -> tuple[str, ...]:
        value = row[key]
        return tuple(str(w) for w in value) if isinstance(value, list) else ()

    return Subject(
        str(row["label"]),
        words("en"),
        words("zh"),
        str(row["measure"]),
        words("adjectives_en"),
        words("adjectives_zh"),
        bool(row.get("animal")),
    )
