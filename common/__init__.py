"""The vocabulary that every process shares: values, names, messages, config, errors, the notice board."""
