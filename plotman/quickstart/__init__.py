"""`./deploy/quickstart`: a small farm in one folder that makes real plots and moves them to drives."""
