"""Other libraries of the Keras ecosystem, each in a module that needs it installed."""
