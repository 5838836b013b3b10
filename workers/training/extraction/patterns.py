"""Draws values that follow a pattern rather than a list: amounts with units, codes, years."""

from __future__ import annotations

import random
from collections.abc import Callable

Draw = Callable[[random.Random], str]
GAPS = (" ", " ", "", "-")


def drawn(draw: random.Random, value: str) -> str:
    """`value`, or what its pattern draws where it names one."""
    return PATTERNS[value[1:]](draw) if value.startswith("@") else value


def _amount(*units: str, most: int = 500, tenths: float = 0.25) -> Draw:
    def draw_amount(draw: random.Random) -> str:
        whole = draw.choice((draw.randint(1, 20), draw.randint(1, most)))
        number = f"{whole}.{draw.randint(1, 99)}" if draw.random() < tenths else f"{whole}"
        return number + draw.choice(GAPS) + draw.choice(units)

    return draw_amount


def _either(*draws: Draw) -> Draw:
    return lambda draw: draw.choice(draws)(draw)


def _packs(draw: random.Random) -> str:
    number = draw.choice((2, 3, 4, 5, 6, 8, 10, 12, 24))
    forms = (
        "Pack of {}", "{} Pack", "{}-Pack", "{} pk", "Set of {}", "{} Count (Pack of 1)",
        "Case of {}",
        "{}pcs", "{}Pcs/Lot", "{} pack", "2 Packs", "{} Packs", "pack of {}", "{}x", "Twin Pack",
    )  # fmt: skip
    return draw.choice(forms).format(number)


def _dims(draw: random.Random) -> str:
    sides = [str(draw.randint(2, 120)) for _ in range(draw.choice((2, 2, 3)))]
    return draw.choice((" x ", "x", "*", " X ")).join(sides) + draw.choice(
        ("", " cm", "cm", '"', " in", " inches", "mm")
    )


def _model(draw: random.Random) -> str:
    letters = "".join(draw.choices("ABCDEFGHJKLMNPRSTVWXYZ", k=draw.choice((1, 2, 2, 3, 4))))
    digits = "".join(draw.choices("0123456789", k=draw.choice((2, 3, 3, 4, 5))))
    forms = (
        "{}{}",
        "{}-{}",
        "{} {}",
        "{}{}" + draw.choice("ABXS"),
        "{1}",
        "{1}{0}",
        "{0}{1}-" + draw.choice("123456789"),
    )
    made = draw.choice(forms).format(letters, digits)
    return made.lower() if draw.random() < 0.1 else made


def _year(draw: random.Random) -> str:
    return str(draw.randint(1995, 2025))


def _age(draw: random.Random) -> str:
    low = draw.randint(1, 14)
    forms = (
        "{}+",
        "Ages {} and Up",
        "{}-{} years",
        "{} Years +",
        "{} months",
        "{}T",
        "Age {}-{}",
        "0-{} Months",
    )
    return draw.choice(forms).format(low, low + draw.randint(1, 8))


def _clothing_size(draw: random.Random) -> str:
    sizes = (
        "XS,S,M,L,XL,XXL,3XL,Small,Medium,Large,X-Large,One Size,Plus Size,8 M US,10 Wide,Size 6,"
        "US 9,EU 42,M-3XL"
    )
    return draw.choice(sizes.split(","))


PATTERNS: dict[str, Draw] = {
    "weight": _amount(
        "oz", "Oz", "ounce", "Ounce", "Ounces", "lb", "lbs", "Pound", "g", "grams", "kg", "KG", "mg"
    ),
    "volume": _amount(
        "ml",
        "mL",
        "L",
        "liter",
        "fl oz",
        "Fl Oz",
        "Fluid Ounce",
        "oz",
        "Ounce",
        "gallon",
        "qt",
        "Quart",
        "cl",
        "dl",
    ),
    "length": _amount("cm", "mm", "m", "inch", "in", "inches", "ft", "feet", "Inch", "yards", '"'),
    "dims": _dims,
    "count": _amount(
        "count",
        "Count",
        "ct",
        "pcs",
        "pieces",
        "Pieces",
        "Capsules",
        "Tablets",
        "pc",
        "sheets",
        "bags",
        "Bags",
        "Each",
        "Pods",
        "sticks",
        "Ct",
        most=300,
        tenths=0.0,
    ),
    "packs": _packs,
    "power": _amount("W", "Watt", "watts", "hp", "kW", most=2000, tenths=0.05),
    "voltage": _amount("V", "Volt", "v", "volts", most=240, tenths=0.05),
    "capacity": _amount("L", "mAh", "cups", "Quart", "liters", "cu ft", "Gallon", "lbs", most=60),
    "storage": _amount("GB", "TB", "gb", "MB", most=512, tenths=0.0),
    "model": _model,
    "year": _year,
    "number": lambda draw: str(draw.randint(1, 100)),
    "percent": lambda draw: f"{draw.randint(1, 100)}%",
    "speed": _amount("MB/s", "Mbps", "Gbps", "rpm", "RPM", "mph", most=6000, tenths=0.0),
    "area": _amount("sq ft", "sq. ft.", "square feet", "m2", "Sq Ft", most=2000, tenths=0.0),
    "age": _age,
    "clothing_size": _clothing_size,
    "temperature": _either(_amount("F", "°F", "degree", "°C", most=90, tenths=0.0)),
    "duration": _amount("hours", "min", "minutes", "hr", "H", "days", most=90, tenths=0.0),
    "code": _model,
}
