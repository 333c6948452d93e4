"""One plotter program per module: its command line, log, files and exit. Pure: no IO.

Other packages call `registry`. To add a plotter, write the class described in `base` and list it there.
"""
