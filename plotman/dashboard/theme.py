"""The colours, dark and light. Pure."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="plotman-dark",
    dark=True,
    primary="#5ece7b",
    secondary="#4fa8d8",
    accent="#7cc7e8",
    success="#5ece7b",
    warning="#f0b23e",
    error="#f2636b",
    foreground="#d5dde3",
    background="#0f1519",
    surface="#182127",
    panel="#1d2830",
    variables={
        "phase-1": "#4fa8d8",
        "phase-2": "#a48be0",
        "phase-3": "#e39a5b",
        "phase-4": "#5ece7b",
        "footer-key-foreground": "#5ece7b",
        "block-cursor-blurred-background": "#2c3d48",
        "bar-rest": "#3a4954",
        "scrollbar": "#3a4954",
        "scrollbar-background": "#131b20",
        "scrollbar-corner-color": "#131b20",
    },
)
LIGHT = Theme(
    name="plotman-light",
    dark=False,
    primary="#1d7f3e",
    secondary="#0f6698",
    accent="#0f6698",
    success="#1d7f3e",
    warning="#94600a",
    error="#b3262f",
    foreground="#1c252b",
    background="#fbfcfb",
    surface="#f0f3f1",
    panel="#e4eae6",
    variables={
        "phase-1": "#0f6698",
        "phase-2": "#6b46b8",
        "phase-3": "#a8500f",
        "phase-4": "#1d7f3e",
        "footer-key-foreground": "#1d7f3e",
        "block-cursor-blurred-background": "#cfe0d5",
        "bar-rest": "#c0ccc5",
        "scrollbar": "#b3c1b9",
        "scrollbar-background": "#f0f3f1",
        "scrollbar-corner-color": "#f0f3f1",
    },
)
