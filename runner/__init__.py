"""How a case is run and measured."""
