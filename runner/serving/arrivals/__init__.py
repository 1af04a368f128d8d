"""How requests arrive: one module per `load=`."""
