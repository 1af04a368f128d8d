"""How requests arrive at a served network, and how its speed is measured: one module per `load=`."""
