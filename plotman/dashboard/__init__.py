"""The live view of the farm in a terminal: it looks and asks, and runs nothing itself.

`model`, `panes`, `headline`, `arrange`, `layout` and `orders` are pure; `feed` reads the notice board and
`errands` asks hosts, each in threads of their own that only post messages; `grid`, `choices`, `screens` and
`app` draw.
"""
