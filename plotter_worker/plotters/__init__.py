"""What each plotter program is like: its command line, its log, its files, its end. Pure; no IO.

`registry` is the way in. A new plotter is one module that offers `base.Plotter`, and a line there.
"""
