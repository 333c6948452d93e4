"""What the command line and the dashboards ask and order, without a word about how it looks."""
