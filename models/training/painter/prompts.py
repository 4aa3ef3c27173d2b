"""The contact sheet's prompts: fixed, so that sheets can be laid side by side. Knows words only."""

import random

from models.training.painter.captions import plain_caption
from models.training.painter.config import PainterConfig
from models.training.painter.scenes_data import random_scene

CONTACT_PROMPTS = [
    "A red fox, the background is a snowy mountain, the lens is medium shot, the style is cartoon",
    "A red fox, the background is a starry night, the lens is medium shot, the style is cartoon",
    "A cat, the background is a green meadow, the lens is close-up, the style is 3D render",
    "A dog, the background is a sandy beach, the lens is medium shot, the style is flat illustration",
    "An owl, the background is a forest, the lens is medium shot, the style is sticker",
    "A penguin, the background is a snowy mountain, the lens is medium shot, the style is 3D render",
    "A fish, the background is under the sea, the lens is medium shot, the style is cartoon",
    "A butterfly, the background is plain white, the lens is close-up, the style is sticker",
    "A panda, the background is a forest, the lens is close-up, the style is flat illustration",
    "A frog, the background is a green meadow, the lens is medium shot, the style is 3D render",
    "A rabbit, the background is a city skyline, the lens is close-up, the style is cartoon",
    "An apple, the background is a city skyline, the lens is medium shot, the style is sticker",
    "A cupcake, the background is a starry night, the lens is close-up, the style is 3D render",
    "A rocket, the background is a starry night, the lens is medium shot, the style is cartoon",
    "A sailboat, the background is a sandy beach, the lens is medium shot, the style is flat illustration",
    "一只狐狸，背景是森林，镜头是中景，风格是贴纸",
    "一只猫，背景是城市天际线，镜头是特写，风格是扁平插画",
    "一只猫头鹰，背景是星空，镜头是中景，风格是3D渲染",
    "一只企鹅，背景是沙滩，镜头是中景，风格是卡通",
    "一只鸭子，背景是绿草地，镜头是中景，风格是3D渲染",
    "一朵郁金香，背景是绿草地，镜头是特写，风格是卡通",
    "一朵向日葵，背景是雪山，镜头是特写，风格是3D渲染",
    "一朵蘑菇，背景是森林，镜头是中景，风格是扁平插画",
    "一个苹果，背景是纯白色，镜头是特写，风格是3D渲染",
    "一辆汽车，背景是城市天际线，镜头是中景，风格是卡通",
    "一只乌龟，背景是海底，镜头是特写，风格是扁平插画",
    "一座房子，背景是雪山，镜头是中景，风格是贴纸",
    "一个雪人，背景是星空，镜头是中景，风格是扁平插画",
    "一颗草莓，背景是绿草地，镜头是特写，风格是贴纸",
    "一头大象，背景是沙滩，镜头是特写，风格是卡通",
]


def contact_prompts(config: PainterConfig) -> list[str]:
    """The fixed prompts, or a handful of its own for a configuration that knows fewer subjects."""
    if len(config.subjects) > 8:
        return CONTACT_PROMPTS
    rng = random.Random(3)
    return [plain_caption(random_scene(config, rng), "en" if i % 2 else "zh") for i in range(4)]
