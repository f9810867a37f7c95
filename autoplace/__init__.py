"""autoplace decides where in a frozen vision backbone to put adapters."""
