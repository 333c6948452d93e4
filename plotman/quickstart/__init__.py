"""`./deploy/quickstart`: a small farm in a folder, real plots on it, shown as it happens."""
