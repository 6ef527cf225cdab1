"""Training of classifiers: settings, a folder for the run, and a test at the end."""
