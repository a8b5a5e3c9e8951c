"""Static figures of arrays and tables: every ``plot_*`` draws into the axes that it is given, shows nothing and returns
them. A new figure goes here. It may import ``measure``, for the type of an estimate, and nothing that reads or
trains."""
