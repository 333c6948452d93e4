"""The live view of the farm in a terminal. It reads the board and calls tasks; it runs nothing itself.

Pure: `model`, `panes`, `headline`, `filters`, `layout`, `keys`, `command_rules`. In threads of their own:
`feed` reads the board, `requests` calls tasks. Widgets: `grid`, `event_log`, `tabs`, `lines`, `dialogs`,
`details`. `app` binds the keys to `screen`, which shows the farm, and `commands`, which change it.
"""
