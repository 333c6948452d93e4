"""0.5.3's archiving targets: asking their free space, moving plots by their scripts, judging the copy."""
